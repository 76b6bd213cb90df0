import json

import numpy as np
import pandas as pd
import pytest
from mouse import COMPETITION, name_parts

from mabe.data.store import UNSEEN_COLUMNS, Store
from mabe.errors import InputError
from mabe.ethogram import UNKNOWN, class_scheme
from mabe.labels import check_classes, expand, frame_labels
from mabe.metrics.bouts import runs
from mabe.params import LabelParams

SCHEME = class_scheme("mabe4")


def bouts(*rows: tuple[str, int, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["action", "start_frame", "stop_frame"])


def label(table, *, first_frame=0, frames=12, annotated=None, scheme=SCHEME) -> list[int]:
    annotated = annotated or (first_frame, first_frame + frames)
    result = frame_labels(table, first_frame=first_frame, frames=frames, annotated=annotated, scheme=scheme)
    assert result.dtype == np.int8
    return result.tolist()


def test_stop_is_exclusive_and_adjoining_bouts_do_not_overlap():
    table = bouts(("sniff", 2, 5), ("mount", 5, 6), ("rear", 8, 10))
    assert label(table) == [0, 0, 1, 1, 1, 2, 0, 0, 0, 0, 0, 0]


def test_rows_are_counted_from_the_first_frame():
    """A recording that starts at video_frame 100: frame numbers are not row numbers."""
    assert label(bouts(("attack", 103, 105)), first_frame=100, frames=6) == [0, 0, 0, 3, 3, 0]


def test_the_highest_class_wins_whatever_the_order():
    rows = [("attack", 3, 6), ("sniff", 0, 9), ("mount", 5, 8), ("dig", 0, 12)]
    expected = [1, 1, 1, 3, 3, 3, 2, 2, 1, 0, 0, 0]
    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)):
        assert label(bouts(*(rows[i] for i in order))) == expected


def test_frames_that_nobody_looked_at_are_unknown():
    table = bouts(("sniff", 0, 4), ("attack", 9, 12))
    assert label(table, annotated=(2, 10)) == [-1, -1, 1, 1, 0, 0, 0, 0, 0, 3, -1, -1]
    assert label(bouts(), annotated=(0, 0)) == [UNKNOWN] * 12
    assert label(bouts(("sniff", -5, 99)), annotated=(-3, 50)) == [1] * 12


def test_ignored_classes_are_unknown():
    scheme = class_scheme("mabe4", ("background", "mating"))
    table = bouts(("sniff", 1, 3), ("mount", 2, 5), ("attack", 4, 6))
    assert label(table, frames=7, scheme=scheme) == [-1, 1, -1, -1, 3, 3, -1]


def test_unknown_action():
    with pytest.raises(InputError, match="unknown action 'hug'"):
        label(bouts(("hug", 0, 1)))


def test_against_frame_by_frame_reference():
    rng = np.random.default_rng(1)
    actions = np.array(["sniff", "mount", "attack", "rear", "follow", "bite"])
    for _ in range(20):
        start = rng.integers(40, 160, 15)
        table = bouts(*zip(rng.choice(actions, 15), start, start + rng.integers(1, 30, 15), strict=True))
        annotated = tuple(sorted(rng.integers(40, 170, 2).tolist()))
        expected = []
        for frame in range(50, 150):
            on = [
                SCHEME.class_of.get(b.action, 0)
                for b in table.itertuples()
                if b.start_frame <= frame < b.stop_frame
            ]
            expected.append(max(on, default=0) if annotated[0] <= frame < annotated[1] else UNKNOWN)
        assert label(table, first_frame=50, frames=100, annotated=annotated) == expected


def test_bouts_to_frames_and_back():
    action = {1: "sniff", 2: "mount", 3: "attack"}
    rng = np.random.default_rng(2)
    for _ in range(20):
        frames = np.repeat(rng.integers(0, 4, 30), rng.integers(1, 9, 30)).astype(np.int8)
        table = bouts(*((action[c], a, b) for a, b, c in zip(*runs(frames), strict=True) if c > 0))
        assert label(table, frames=len(frames)) == frames.tolist()


@pytest.fixture
def store(tmp_path) -> Store:
    """Two train-set recordings with a hole of two rows between them."""
    manifest = pd.DataFrame(
        {
            "recording": ["A/1", "B/2"], "set": "train", "split": ["train", "val"], "lab": ["A", "B"],
            "start": [0, 6], "frames": [4, 5], "first_frame": [10, 0],
            "annotated_start": [10, 0], "annotated_stop": [14, 3],
        }
    )  # fmt: skip
    table = bouts(("sniff", 11, 13), ("attack", 0, 2)).assign(recording=["A/1", "B/2"])
    manifest.to_parquet(tmp_path / "manifest.parquet")
    table.to_parquet(tmp_path / "bouts.parquet")
    pd.DataFrame(columns=list(UNSEEN_COLUMNS)).astype(UNSEEN_COLUMNS).to_parquet(tmp_path / "unseen.parquet")
    np.save(tmp_path / "train_xy.npy", np.zeros((11, 4, 18, 2), dtype=np.float32))
    name_parts(tmp_path)
    return Store(tmp_path)


def params(**changes) -> LabelParams:
    return LabelParams(**{"class_scheme": "mabe4", "ignore_classes": (), "num_classes": 4, **changes})


def test_expand_writes_aligned_labels_and_counts(store, tmp_path):
    metrics = expand(params(), store, tmp_path / "labels")
    labels = np.load(tmp_path / "labels" / "labels.npy")
    assert labels.dtype == np.int8
    assert labels.tolist() == [0, 1, 1, 0, -1, -1, 3, 3, 0, -1, -1]
    classes = json.loads((tmp_path / "labels" / "classes.json").read_text())
    assert classes == {"names": ["background", "social", "mating", "aggressive"], "scored": [0, 1, 2, 3]}
    train = {"unknown": 0, "background": 2, "social": 2, "mating": 0, "aggressive": 0}
    val = {"unknown": 2, "background": 1, "social": 0, "mating": 0, "aggressive": 2}
    assert metrics == {
        "scheme": "mabe4",
        "classes": {"train": train, "val": val},
        "labs": {"A": {"train": train}, "B": {"val": val}},
    }


def test_expand_leaves_ignored_classes_out(store, tmp_path):
    expand(params(ignore_classes=("background",)), store, tmp_path / "labels")
    assert np.load(tmp_path / "labels" / "labels.npy").tolist() == [-1, 1, 1, -1, -1, -1, 3, 3, -1, -1, -1]
    assert json.loads((tmp_path / "labels" / "classes.json").read_text())["scored"] == [1, 2, 3]


def test_expand_refuses_a_scheme_of_another_source_and_a_wrong_number_of_classes(store, tmp_path):
    with pytest.raises(InputError, match="unknown class_scheme 'caltech_s1'"):
        expand(params(class_scheme="caltech_s1"), store, tmp_path / "labels")
    with pytest.raises(InputError, match="num_classes is 5"):
        expand(params(num_classes=5), store, tmp_path / "labels")
    assert not (tmp_path / "labels").exists()


def counts(train: tuple[int, ...], val: tuple[int, ...]) -> dict[str, dict[str, int]]:
    return {
        split: dict(zip(("unknown", *SCHEME.names), (7, *frames), strict=True))
        for split, frames in (("train", train), ("val", val))
    }


def checked(ignored: tuple[str, ...], frames: dict[str, dict[str, int]]) -> str | None:
    settings = params(ignore_classes=ignored)
    return check_classes(settings, settings.scheme(COMPETITION), frames)


def test_a_class_without_a_training_frame_stops():
    with pytest.raises(
        InputError, match=r"mabe4 has no training frame of social, mating, aggressive: choose the"
    ):
        checked((), counts((10, 0, 0, 0), (5, 0, 0, 0)))
    with pytest.raises(InputError, match="no training frame of background"):
        checked((), counts((0, 3, 3, 3), (5, 5, 5, 5)))
    assert checked(("mating",), counts((10, 3, 0, 3), (5, 2, 0, 1))) is None


def test_a_validation_of_one_class_stops_and_one_without_a_class_says_so():
    assert checked((), counts((1, 1, 1, 1), (1, 1, 1, 1))) is None
    said = checked((), counts((9, 9, 9, 9), (5, 5, 0, 0)))
    assert said.startswith("no validation frame of mating, aggressive: macro-F1 leaves out")
    for val, says in (
        ((5, 0, 0, 0), "1 scored class, background, which"),
        ((0, 0, 0, 0), "0 scored classes, which"),
    ):
        with pytest.raises(InputError, match=f"the validation recordings have labels of {says}"):
            checked((), counts((9, 9, 9, 9), val))
    with pytest.raises(InputError, match="1 scored class, social, which"):
        checked(("background",), counts((9, 9, 9, 9), (5, 5, 0, 0)))


def test_frames_on_which_nobody_looked_for_a_class_are_no_background():
    """What is seen there all the same keeps its class, and an action of no class hides nothing."""
    scheme = COMPETITION.scheme("mabe4")
    unseen = bouts(("attack", 2, 5), ("rear", 8, 12))
    place = {"first_frame": 0, "frames": 12, "annotated": (0, 11), "scheme": scheme}
    found = frame_labels(bouts(("sniff", 4, 6)), unseen=unseen, **place)
    assert found.tolist() == [0, 0, -1, -1, 1, 1, 0, 0, 0, 0, 0, -1]


def test_expand_leaves_out_what_nobody_looked_at(store, tmp_path):
    rows = bouts(("attack", 10, 11), ("sniff", 2, 3)).assign(recording=["A/1", "B/2"], agent=1, target=2)
    rows[list(UNSEEN_COLUMNS)].astype(UNSEEN_COLUMNS).to_parquet(tmp_path / "unseen.parquet")
    expand(params(), store, tmp_path / "labels")
    labels = np.load(tmp_path / "labels" / "labels.npy")
    assert labels.tolist() == [-1, 1, 1, 0, -1, -1, 3, 3, -1, -1, -1]
