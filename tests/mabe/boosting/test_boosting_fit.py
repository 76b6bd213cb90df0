"""Boosted trees: they learn, are the same bytes whenever they are fitted, and come back from their file, checked."""

import dataclasses
import io
import json
import re
import zipfile

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from small_pairs import PAIRS, pairs_data, small_store

from mabe.boosting import job
from mabe.boosting.fit import FIXED, fit
from mabe.boosting.sampling import draw
from mabe.boosting.saved import FILE, check_text, load, save
from mabe.boosting.trees import lightgbm
from mabe.errors import InputError
from mabe.params import BoostingParams, keys
from mabe.tasks import restore
from mabe.tasks.pairs import Pairs

PARAMS = BoostingParams(
    **{name: getattr(PAIRS, name) for name in ("num_mice", "num_keypoints", "pair_rate_hz", "features")},
    model_type="boosting",
    seed=1,
    folds=None,
    train_recordings=None,
    tree_learning_rate=0.2,
    trees=15,
    tree_leaves=7,
    tree_windows_s=(0.3, 1.0, 2.0),
    negatives_per_positive=3,
)
FILES = ("manifest.parquet", *Pairs.READS)


def run(folder, **changes) -> bytes:
    """A run in a directory: the bytes of its model."""
    (folder / "out").mkdir()
    inputs = {name: small_store().path / name for name in FILES}
    values = dataclasses.asdict(dataclasses.replace(PARAMS, **changes))
    result = job.run(values, inputs, folder / "run", folder / "out", key="k")
    assert job.fault_of(result, values) is None
    assert {path.name for path in (folder / "out").iterdir()} == job.OUTPUTS
    return (folder / "out" / FILE).read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes and the file of a run."""
    folder = tmp_path_factory.mktemp("whole")
    return run(folder), folder / "out" / FILE


@pytest.fixture(scope="module")
def data():
    return pairs_data(small_store())


def test_who_does_what_to_whom_is_learnt(whole, data):
    task, saved = data.task, load(whole[1])
    subjects = task.subjects[task.subjects["split"] == "val"]
    found = list(saved.trees.predict(task, data.features, subjects))
    for action, name in enumerate(task.names):
        p, truth = [], []
        for (number, row), of in zip(subjects.iterrows(), found, strict=True):
            assert of.shape == (row["frames"], len(task.names))
            if name not in row["listed"]:
                assert not of[:, action].any()
                continue
            y, _ = task.truth.states.read(torch.tensor([number]), torch.arange(row["frames"])[None])
            p.append(of[:, action])
            truth.append(y[0, :, action].numpy())
        assert average_precision_score(np.concatenate(truth), np.concatenate(p)) > 0.8, name


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_run_is_the_same_bytes_on_any_number_of_threads(threads, whole, tmp_path, monkeypatch):
    monkeypatch.setitem(FIXED, "num_threads", threads)
    assert run(tmp_path) == whole[0]


def test_an_interrupted_run_ends_with_the_same_bytes(whole, tmp_path, monkeypatch):
    laboratories = []

    def drawn(subjects, *args, **options):
        laboratories.append(subjects["lab"].iloc[0])
        if laboratories == ["A", "B"]:
            raise KeyboardInterrupt
        return draw(subjects, *args, **options)

    monkeypatch.setattr("mabe.boosting.fit.draw", drawn)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert list((tmp_path / "out").iterdir()) == []
    (tmp_path / "out").rmdir()
    assert run(tmp_path) == whole[0]
    assert laboratories == ["A", "B", "B"]


CHANGES = {
    "seed": 2,
    "tree_learning_rate": 0.1,
    "trees": 16,
    "tree_leaves": 4,
    "tree_windows_s": (0.3, 2.0),
    "negatives_per_positive": 2,
    "pair_rate_hz": 20.0,
}
ELSEWHERE = {"model_type", "features", "num_mice", "num_keypoints", "folds", "train_recordings"}
"""Of the store and the kind of model, which other tests change."""


@pytest.mark.parametrize("key", sorted(set(keys(BoostingParams)) - ELSEWHERE))
def test_every_parameter_takes_effect(key, whole):
    params = dataclasses.replace(PARAMS, **{key: CHANGES[key]})
    rate = params.pair_rate_hz
    of = pairs_data(small_store(rate), dataclasses.replace(PAIRS, pair_rate_hz=rate))
    training = of.task.subjects[of.task.subjects["split"] == "train"]
    trees = fit(of.task, of.features, training[training["lab"] == "B"], params)
    assert trees.heads["B"] != load(whole[1]).trees.heads["B"]


def test_a_laboratory_that_was_never_seen_has_the_mean_of_the_others(whole, data):
    saved, rows = load(whole[1]), small_store().recordings(set="train").iloc[[0]]
    frames = data.features
    own, other = (restore(saved.card, PARAMS, rows.assign(lab=lab)) for lab in ("A", "B"))
    new = restore(saved.card, PARAMS, rows.assign(lab="elsewhere"))
    found = [next(saved.trees.predict(task, frames, task.subjects.iloc[[1]])) for task in (own, other, new)]
    np.testing.assert_allclose(found[2], (found[0] + found[1]) / 2, atol=1e-6)
    assert (found[0] != found[1]).any()


def test_a_laboratory_where_nothing_happens_has_no_classifier_and_few_samples_are_enough(data, monkeypatch):
    task = data.task
    training = task.subjects[task.subjects["split"] == "train"]
    still = training.index[(training["lab"] == "A") & (training["agent"] == training["target"])]
    bits = task.truth.states.bits.clone()
    for number in still:
        first = int(task.truth.states.first[number])
        bits[first : first + training.loc[number, "frames"]] = 0
    states = type(task.truth.states)(
        bits, *(getattr(task.truth.states, name) for name in ("first", "known", "annotated")), len(task.names)
    )
    monkeypatch.setattr(task, "truth", task.truth._replace(states=states))
    trees = fit(task, data.features, training.loc[still], PARAMS)
    assert trees.heads == {"A": {}}
    assert not any(p.any() for p in trees.predict(task, data.features, training.loc[still[:2]]))
    monkeypatch.setattr("mabe.boosting.fit.MOST_VALUES", 8 * len(trees.columns))
    few = fit(task, data.features, training[training["lab"] == "B"], PARAMS)
    for text in few.heads["B"].values():
        check_text(text, len(few.columns))
    assert few.heads["B"].keys() == task.trained["B"]


def test_a_saved_model_is_the_same_model(whole, tmp_path):
    saved = load(whole[1])
    assert saved.params == PARAMS
    save(tmp_path / FILE, saved)
    assert (tmp_path / FILE).read_bytes() == whole[0]


def changed(content: bytes, **members: bytes) -> bytes:
    """The archive with some of its members replaced."""
    to = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(to, "w") as out:
        for name in archive.namelist():
            out.writestr(name, members.get(name, archive.read(name)))
        for name in members.keys() - set(archive.namelist()):
            out.writestr(name, members[name])
    return to.getvalue()


def test_a_file_that_is_no_model_is_refused(whole, tmp_path):
    path = tmp_path / FILE
    with pytest.raises(InputError, match="there is no model"):
        load(path)
    flipped = bytearray(whole[0])
    flipped[len(flipped) // 2] ^= 255
    text = zipfile.ZipFile(io.BytesIO(whole[0])).read("00000.txt").decode()
    card = json.loads(zipfile.ZipFile(io.BytesIO(whole[0])).read("card.json"))
    for content in (
        b"no archive",
        whole[0][:-100],
        bytes(flipped),
        changed(whole[0], **{"other.txt": b""}),
        changed(whole[0], **{"00000.txt": text[:-40].encode()}),
        changed(whole[0], **{"card.json": json.dumps(card | {"columns": card["columns"][1:]}).encode()}),
        changed(whole[0], **{"card.json": json.dumps(card | {"params": {}}).encode()}),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is damaged or no model of this repository") as error:
            load(path)
        assert "\n" not in str(error.value)


def test_a_text_that_would_lead_lightgbm_astray_is_refused():
    x = np.random.default_rng(0).random((400, 3))
    y = (x[:, 0] > 0.5) & (x[:, 1] < 0.7)
    names = ["input0", "input1", "input2"]
    train = lightgbm().Dataset(x, y.astype(float), feature_name=names)
    booster = lightgbm().train({"objective": "binary", "num_leaves": 4, "verbose": -1}, train, 2)
    text = booster.model_to_string().split("\nend of trees\n")[0] + "\nend of trees\n"
    check_text(text, 3)
    (sizes,) = re.findall("^tree_sizes=(.*)$", text, re.M)
    first, second = map(int, sizes.split())
    for of_first_tree, to, says in (
        ("left_child=.*", "left_child=0 2 -2", "leads nowhere"),  # the root is its own child
        ("right_child=.*", "right_child=1 3 -4", "leads nowhere"),  # of nodes 0 to 2
        ("right_child=.*", "right_child=1 -5 -4", "leads nowhere"),  # of leaves -1 to -4
        ("left_child=.*", "left_child=1 2", "2 items, not 3"),
        ("left_child=.*", "left_child=1 2\xa0-2", "characters that LightGBM does not write"),  # 0 to LightGBM
        ("left_child=.*", "left_child=1 2\x0b-2", "2 items, not 3"),
        ("left_child=.*", "left_child=1  2 -2", "4 items, not 3"),
        ("left_child=.*", "left_child=1 2 -0_2", "'-0_2' is not what stands there"),
        ("left_child=.*", "left_child=1 2 +2", "is not what stands there"),
        ("num_leaves=.*", "num_leaves=9", "3 items, not 8"),
        ("num_leaves=.*", "num_leaves=0_4", "'0_4' is not what stands there"),  # 0 to LightGBM
        ("num_leaves=.*", "num_leaves=0", "3 items, not -1"),
        ("num_leaves=.*", "num_leaves=٤", "characters that LightGBM does not write"),
        ("split_feature=.*", "split_feature=0 3 1", "an input that there is not"),
        ("decision_type=.*", "decision_type=2 1 2", "'1' is not what stands there"),
        ("threshold=.*", "threshold=0.5 0.5 1_0", "'1_0' is not what stands there"),
        ("leaf_count=.*", "leaf_count=1 2 3", "3 items, not 4"),
        ("internal_weight=.*", "internal_weight=", "0 items, not 3"),
        ("shrinkage=.*", "shrinkage=x", "'x' is not what stands there"),
        ("num_cat=.*", "num_cat=1", "is of another kind"),
        ("is_linear=.*", "is_linear=1", "is of another kind"),
        ("leaf_weight=.*", "leaf_weights=", "other lines"),
    ):
        wrong = re.sub(f"^{of_first_tree}$", to, text, count=1, flags=re.M)
        wrong = wrong.replace(f"={sizes}\n", f"={first + len(wrong) - len(text)} {second}\n")
        assert wrong != text
        with pytest.raises(ValueError, match=says):
            check_text(wrong, 3)
    for part, to in (("input2", "input3"), ("objective=binary", "objective=cross_entropy")):
        with pytest.raises(ValueError, match="of another kind, or of other inputs"):
            check_text(text.replace(part, to), 3)
    with pytest.raises(ValueError, match="not the size"):
        check_text(text.replace(f"={sizes}", f"={first - 1} {second + 1}"), 3)
    for to, says in (("feature_infos=[0:1] ", "4 items, not 3"), ("feature_infos=(0) ", "4 items")):
        with pytest.raises(ValueError, match=says):
            check_text(text.replace("feature_infos=", to), 3)
    with pytest.raises(ValueError, match="another kind"):
        check_text(text + "more", 3)


def test_a_checkpoint_of_other_things_is_none(whole):
    trees = load(whole[1]).trees
    state = {"seconds": 1.0, "heads": trees.heads}
    assert job.fault_of_state(state, len(trees.columns)) is None
    for found in (
        {},
        state | {"heads": []},
        state | {"heads": {"A": 1}},
        state | {"heads": {"A": {"run": 1}}},
        state | {"heads": {"A": {"run": "tree"}}},
    ):
        assert job.fault_of_state(found, len(trees.columns)) is not None
