"""What ingest found out: short in the metrics and on the terminal, whole in the store."""

import json

import numpy as np
import pandas as pd

from mabe.data.report import FINDINGS, hole, in_full, in_short, labels_end_early, lines

METRICS = {
    "recordings": 3, "train_recordings": 1, "val_recordings": 1, "test_recordings": 1,
    "frames": 12345, "hours": 0.5, "bouts": 7,
}  # fmt: skip


def test_metrics_stay_small_and_the_report_is_whole():
    findings = {
        "quarantined": {f"Lab/{i}": f"cannot be read: {'x' * 1000}" for i in range(8000)},
        "unlabelled": {f"Lab/{i}": "left out" for i in range(8000)},
    }
    short = in_short(findings)
    assert short["quarantined"] == short["unlabelled"] == 8000
    assert set(short) == {*FINDINGS}
    assert json.loads(in_full(findings)) == {name: findings.get(name, {}) for name in FINDINGS}


def test_the_terminal_names_a_few_of_each():
    findings = {
        "unlabelled": {f"Lab/{i}": "left out" for i in range(5)},
        "labelled_without_annotation": {"Lab/1": ""},  # one of the above
        "unused_files": {"odd\nname\udcff.txt": ""},
        "quarantined": {},
    }
    assert lines(METRICS, findings) == [
        "3 recordings (1 to train, 1 to validate, 1 to predict), 12,345 frames, 0.50 h, 7 bouts",
        "  without labels: 5: Lab/0 (left out); Lab/1 (left out); Lab/2 (left out) and 2 more",
        r"  other files, not used: 1: odd\nname\udcff.txt",
    ]


def manifest(*rows: tuple[str, int, int, int]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["recording", "frames", "annotated_start", "annotated_stop"])
    return table.assign(first_frame=0, lab=table["recording"].str.split("/").str[0])


def test_labels_of_a_third_of_the_recording_are_named_and_others_are_not():
    table = manifest(
        ("rats/1", 300, 0, 100), ("rats/2", 300, 0, 270), ("rats/3", 300, 0, 300), ("rats/4", 300, 0, 0)
    )
    assert labels_end_early(table, {"rats/1": 100, "rats/2": 270, "rats/3": 350}) == {
        "rats/1": "labels cover 100 of 300 frames"
    }


def test_labels_that_begin_late_or_miss_the_recording_are_named():
    table = manifest(("rats/1", 300, 100, 300), ("rats/2", 300, 300, 300))
    assert list(labels_end_early(table, {"rats/1": 300, "rats/2": 900})) == ["rats/1", "rats/2"]


def test_marked_bouts_end_early_only_if_they_do_so_in_all_of_a_laboratory():
    """A recording may end without a bout; that all of a laboratory do is a clock."""
    table = manifest(*((f"{lab}/{i}", 300, 0, 300) for lab in "AB" for i in range(4)), ("C/1", 300, 0, 300))
    slow = {f"A/{i}": 60 + 10 * i for i in range(4)}
    as_it_should_be = {"B/0": 20, "B/1": 90, "B/2": 280, "B/3": 30, "C/1": 200}
    early = labels_end_early(table, slow | as_it_should_be)
    assert list(early) == ["A/0", "A/1", "A/2", "A/3"]
    assert early["A/3"] == "the last bout ends after 90 of 300 frames"
    assert list(labels_end_early(table, {"C/1": 100})) == ["C/1"]  # of one or two, half is little


def test_only_a_hole_of_more_than_half_is_told():
    present = np.zeros(100, bool)
    present[[0, 50, 99]] = True
    assert hole(present) == {}
    present[50] = False
    assert hole(present) == {"long_holes": "rows 1 to 98 of 100"}
    assert hole(np.zeros(4, bool)) == {"long_holes": "rows 0 to 3 of 4"}
