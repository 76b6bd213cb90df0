"""Folds: one pose is of one fold, and laboratories, actions and time are spread over them."""

import numpy as np
import pandas as pd
import pytest
from pair_store import pair_store, recording

from mabe.data.folds import NONE, assign_folds
from mabe.data.store import Store
from mabe.errors import InputError

FPS = 10.0


def recordings(*names: str, seconds=10.0, **columns) -> pd.DataFrame:
    """A row for each of names like "lab/1", at 10 Hz, each with a pose of its own."""
    table = pd.DataFrame({"recording": names, "lab": [name.split("/")[0] for name in names]})
    table = table.assign(group=names, labelled=True, fps=FPS, frames=np.int64(np.multiply(seconds, FPS)))
    return table.assign(**columns)


def bouts(*of: tuple[str, str, float]) -> pd.DataFrame:
    """Recording, action and seconds of each."""
    rows = [(name, action, 5, 5 + round(seconds * FPS)) for name, action, seconds in of]
    return pd.DataFrame(rows, columns=["recording", "action", "start_frame", "stop_frame"])


def folds(table: pd.DataFrame, *of: tuple[str, str, float], count: int, seed: int = 0) -> dict[str, int]:
    found = assign_folds(table, bouts(*of), count=count, seed=seed)
    assert found.dtype == np.int64
    return dict(zip(table["recording"], found, strict=True))


def test_one_pose_is_of_one_fold_and_what_has_no_labels_of_none():
    table = recordings(*(f"a/{i}" for i in range(8)), *(f"b/{i}" for i in range(4)))
    table.loc[[1, 9], "group"] = "a/0"  # also in another laboratory
    table.loc[[2, 3], "group"] = "a/7"
    table.loc[[3, 11], "labelled"] = False
    found = folds(table, count=3)
    assert found["a/0"] == found["a/1"] == found["b/1"] != NONE
    assert found["a/2"] == found["a/7"] != NONE
    assert found["a/3"] == found["b/3"] == NONE


def test_every_laboratory_is_spread_over_the_folds():
    table = recordings(*(f"{lab}/{i}" for lab in "abc" for i in range(10)))
    of = pd.Series(folds(table, count=5))
    assert (of.groupby([of.index.str[0], of]).size() == 2).all()


def test_a_rare_action_is_in_as_many_folds_as_it_can_be():
    table = recordings(*(f"a/{i}" for i in range(9)))
    sniff = [(f"a/{i}", "sniff", 5.0) for i in range(9)]
    found = folds(
        table, *sniff, ("a/2", "attack", 1.0), ("a/5", "attack", 1.0), ("a/6", "attack", 1.0), count=3
    )
    assert {found[name] for name in ("a/2", "a/5", "a/6")} == {0, 1, 2}
    assert np.bincount(list(found.values())).tolist() == [3, 3, 3]


def test_seconds_of_an_action_and_of_recordings_are_balanced():
    """6 s of sniffing against 3 + 3; where nothing happens, 60 s against 30 + 20."""
    table = recordings("a/0", "a/1", "a/2", "b/0", "b/1", "b/2", seconds=[20, 20, 21, 60, 30, 20])
    found = folds(table, ("a/0", "sniff", 3), ("a/1", "sniff", 3), ("a/2", "sniff", 6), count=2)
    assert found["a/0"] == found["a/1"] != found["a/2"]
    assert found["b/1"] != found["b/0"]


def test_fewer_groups_than_folds_are_spread_over_all_laboratories():
    found = folds(recordings("a/0", "a/1", "b/0", "c/0", "d/0"), count=5)
    assert sorted(found.values()) == [0, 1, 2, 3, 4]


def test_the_draw_depends_on_the_seed_and_not_on_the_order():
    table = recordings(*(f"a/{i}" for i in range(12)), *(f"b/{i}" for i in range(7)))
    of = [(f"a/{i}", "sniff", 1.0 + i % 2) for i in range(12)]
    found = folds(table, *of, count=4)
    assert folds(table.sample(frac=1, random_state=1), *reversed(of), count=4) == found
    assert folds(table, *of, count=4, seed=1) != found


def test_a_store_with_folds_held_out(tmp_path):
    table = pd.DataFrame({"recording": list("abcde"), "set": [*["train"] * 4, "test"]})
    table = table.assign(split=[*["train"] * 3, "val", "test"], fold=[0, 0, 1, 3, NONE])
    table.to_parquet(tmp_path / "manifest.parquet")

    def of(split: str, held_out: tuple[int, ...] | None) -> str:
        return "".join(Store(tmp_path, held_out).recordings(split=split)["recording"])

    assert (of("train", None), of("val", None), of("test", None)) == ("abc", "d", "e")
    assert (of("train", (0,)), of("val", (0,)), of("test", (0,))) == ("cd", "ab", "e")
    assert (of("train", (0, 3)), of("val", (0, 3))) == ("c", "abd")
    taught = [("".join(Store(tmp_path, (0, 3)).training(fold)["recording"])) for fold in (0, 3, None)]
    assert taught == ["cd", "abc", "abcd"]
    assert "".join(Store(tmp_path, (0,)).training()["recording"]) == "cd"
    with pytest.raises(InputError, match=r"fold 2 of .* holds no labelled recording"):
        of("val", (0, 2))


def test_without_a_number_each_group_is_a_fold():
    table = recordings("a/3", "a/1", "b/2", "b/4", "b/5").assign(group=["x", "y", "x", "z", "z"])
    table.loc[3, "labelled"] = False
    assert folds(table, count=None) == {"a/1": 0, "a/3": 1, "b/2": 1, "b/5": 2, "b/4": NONE}


# Fewer training recordings, for learning curves


def test_fewer_training_recordings_are_among_more_and_validation_stays(tmp_path):
    rows = [
        recording(f"a/{i}", 10 * i, 10, [], fold=i % 5, split="val" if i < 4 else "train") for i in range(20)
    ]
    rows.append(recording("a/99", 200, 10, [], fold=NONE))  # unlabelled
    path = pair_store(tmp_path / "s", rows, []).path
    split = {most: Store(path, None, most).manifest.set_index("recording")["split"] for most in (3, 8, 16)}
    kept = {most: set(of.index[of == "train"]) for most, of in split.items()}
    assert [len(of - {"a/99"}) for of in kept.values()] == [3, 8, 16]
    assert kept[3] < kept[8] < kept[16] | {"a/99"}
    assert all(set(of.index[of == "val"]) == {f"a/{i}" for i in range(4)} for of in split.values())
    of_fold = Store(path, (1,), 5).manifest
    assert (of_fold["split"] == "val").sum() == 4
    assert ((of_fold["split"] == "train") & (of_fold["fold"] >= 0)).sum() == 5
    assert Store(path, None, 3).training()["recording"].tolist() == [
        n for n in split[3].index if n in kept[3]
    ]


def test_more_training_recordings_than_there_are_is_refused(tmp_path):
    path = pair_store(tmp_path / "s", [recording("a/1", 0, 10, [], fold=0)], []).path
    with pytest.raises(InputError, match="train_recordings is 2, but there are 1 labelled"):
        _ = Store(path, None, 2).manifest
