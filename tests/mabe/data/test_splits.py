import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mabe.data.splits import assign, read, together
from mabe.errors import InputError


def recordings(**labs: int) -> pd.DataFrame:
    """`labs` recordings per laboratory, each with a pose of its own."""
    rows = [(f"{lab}/{i}", lab, f"{lab}{i}", True) for lab, n in labs.items() for i in range(n)]
    return pd.DataFrame(rows, columns=["recording", "lab", "group", "labelled"])


def held_out(table: pd.DataFrame, **arguments) -> set[str]:
    split = assign(table, **{"val_fraction": 0.2, "seed": 42, **arguments})
    assert split.index.equals(table.index)
    return set(table["recording"][split == "val"])


def test_every_lab_with_two_recordings_holds_out_its_share():
    table = recordings(A=50, B=10, C=2, D=1)
    labs = table.set_index("recording")["lab"][list(held_out(table))].value_counts()
    assert labs.to_dict() == {"A": 10, "B": 2, "C": 1}


def test_fraction_is_followed_and_never_takes_the_last_training_recording():
    table = recordings(A=10)
    assert [len(held_out(table, val_fraction=f)) for f in (0.01, 0.25, 0.5, 0.99)] == [1, 3, 5, 9]


def test_order_index_and_other_labs_do_not_change_the_draw_but_the_seed_does():
    table = recordings(A=20, B=20)
    chosen = held_out(table)
    shuffled = table.sample(frac=1, random_state=0)
    assert held_out(shuffled) == chosen
    assert held_out(shuffled.reset_index(drop=True)) == chosen
    more = pd.concat([recordings(C=7), table], ignore_index=True)
    assert {r for r in held_out(more) if not r.startswith("C")} == chosen
    assert held_out(table, seed=43) != chosen


def test_recordings_with_the_same_pose_stay_together():
    table = recordings(A=40, B=40)
    table["group"] = [f"pose{i % 13}" for i in range(len(table))]
    for seed in range(5):
        split = assign(table, val_fraction=0.3, seed=seed)
        assert (split.groupby(table["group"]).nunique() == 1).all()
        assert set(split) == {"train", "val"}


def test_unlabelled_recordings_train_unless_their_pose_is_held_out():
    table = recordings(A=10)
    chosen = held_out(table)
    table = pd.concat([table, recordings(U=30).assign(labelled=False)], ignore_index=True)
    assert held_out(table) == chosen
    twin = table[table["recording"].isin(chosen)].assign(recording=["U/a", "U/b"], labelled=False)
    assert held_out(pd.concat([table, twin])) == chosen | {"U/a", "U/b"}


def test_no_validation_recording_is_an_error():
    with pytest.raises(InputError, match="no recording is left for validation"):
        held_out(recordings(A=1, B=1))
    same_pose = recordings(A=6).assign(group="x")
    with pytest.raises(InputError, match="no recording is left for validation"):
        held_out(same_pose)


def split_file(tmp_path, rows: dict[str, str]):
    path = tmp_path / "split.csv"
    pd.DataFrame({"recording": list(rows), "split": list(rows.values())}).to_csv(path, index=False)
    return path


def test_split_file_decides(tmp_path):
    table = recordings(A=3, B=1)
    rows = {"A/0": "train", "A/1": "train", "A/2": "train", "B/0": "val"}
    assert held_out(table, split_file=split_file(tmp_path, rows)) == {"B/0"}
    quarantined = split_file(tmp_path, rows | {"A/9": "val"})
    assert held_out(table, split_file=quarantined, left_out={"A/9"}) == {"B/0"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"A/2": None}, "does not name the labelled recording A/2"),
        ({"A/3": "val"}, "names A/3, which is not a labelled recording"),
        ({"A/2": "test"}, "split of A/2 is 'test'"),
        ({"A/1": "val"}, "A/0 and A/1, which have the same pose"),
        ({"A/2": "train"}, "holds out no recording"),
        ({"A/0": "val", "A/1": "val"}, "all labelled recordings are held out"),
    ],
)
def test_wrong_split_files(tmp_path, change, says):
    table = recordings(A=3)
    table["group"] = ["p", "p", "q"]
    rows = {"A/0": "train", "A/1": "train", "A/2": "val"} | change
    path = split_file(tmp_path, {k: v for k, v in rows.items() if v})
    with pytest.raises(InputError, match=says):
        held_out(table, split_file=path)


def test_a_split_file_that_is_no_file_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(InputError, match=f"split_file {path} is no file"):
            read(path)


def test_rows_with_a_cell_too_many_are_told(tmp_path):
    (tmp_path / "s.csv").write_text("recording,split\nA/1,,train\nA/2,,val\n")
    with pytest.raises(InputError, match="its rows have more cells than its first line"):
        read(tmp_path / "s.csv")


def test_unreadable_split_files(tmp_path):
    table = recordings(A=3)
    with pytest.raises(InputError, match=r"there is no split_file .*none\.csv"):
        held_out(table, split_file=tmp_path / "none.csv")
    path = tmp_path / "split.csv"
    path.write_text("recording,split\nA/0,train\nA/0,val\n")
    with pytest.raises(InputError, match="names A/0 twice"):
        read(path)  # known whatever the recordings are
    path.write_text("recording\nA/0\n")
    with pytest.raises(InputError, match="columns recording, split"):
        held_out(table, split_file=path)
    path.write_text("recording,split\n" + "A/0,train\n" * 2)
    with pytest.raises(InputError, match="names A/0 twice"):
        held_out(table, split_file=path)


def test_share_over_many_seeds_is_uniform_over_recordings():
    table = recordings(A=10)
    counts = sum(table["recording"].isin(held_out(table, seed=s)).to_numpy().astype(int) for s in range(100))
    assert np.all(counts > 5)  # 20 expected


# Groups that the source names, and splits that it says


def test_a_group_holds_what_shares_a_pose_or_a_name_also_through_others():
    pose, named = ["p", "q", "q", "r", "s"], ["", "cage 1", "cage 2", "cage 2", ""]
    found = together(pd.Series(pose), pd.Series(named)).tolist()
    assert found == ["p", "cage 1", "cage 1", "cage 1", "s"]


def test_what_the_source_says_decides_and_more_recordings_move_none():
    table = recordings(A=6)
    given = {f"A/{i}": "val" if i in (2, 3) else "train" for i in range(6)}
    assert held_out(table, given=given) == {"A/2", "A/3"}
    more = recordings(A=9)
    assert held_out(more, given=given | {f"A/{i}": "train" for i in (6, 7, 8)}) == {"A/2", "A/3"}


def test_a_split_file_counts_for_more_than_what_the_source_says(tmp_path):
    path = tmp_path / "split.csv"
    path.write_text(
        "recording,split\n" + "".join(f"A/{i},{'val' if i == 0 else 'train'}\n" for i in range(3))
    )
    given = {f"A/{i}": "val" if i == 2 else "train" for i in range(3)}
    assert held_out(recordings(A=3), given=given, split_file=path) == {"A/0"}


def test_a_source_that_says_it_of_some_recordings_only_is_refused():
    with pytest.raises(
        InputError, match="the column split of the data does not name the labelled recording A/1"
    ):
        held_out(recordings(A=3), given={"A/0": "val", "A/2": "train"})


def test_a_source_that_parts_a_group_is_refused():
    table = recordings(A=3).assign(group=["x", "x", "y"])
    with pytest.raises(InputError, match="parts A/0 and A/1, which have the same pose or are of one group"):
        held_out(table, given={"A/0": "val", "A/1": "train", "A/2": "train"})
