"""What ingest found out about a data set that somebody should know: in full in the store, in short elsewhere."""

import json
from collections.abc import Mapping
from itertools import islice
from textwrap import shorten
from typing import Any

import numpy as np
import pandas as pd

from runs.text import shown

Findings = dict[str, dict[str, str]]
"""Of each of FINDINGS that there is: the recordings or files, each with what is to be said of it (or nothing)."""

FINDINGS: dict[str, str] = {
    "quarantined": "quarantined",
    "unlabelled": "without labels",
    "labels_end_early": "labels end early: are they on another clock? (ignore it where nothing happens later)",
    "bouts_clipped_in": "bouts reach outside the recording and are cut",
    "rates_differ": "the annotation has another frame rate than the recording: do they belong together?",
    "bouts_beyond": "bouts end long after the pose: do they belong together, and is the frame rate right?",
    "other_media": "the annotation is of a video with another number: do they belong together?",
    "annotation_fps": "frame rates in annotation files that no video has, or several of one video: ignored",
    "annotation_time_line": "annotations on another time line than the video's, moved to it",
    "other_players": "videos of other players of BORIS, not used",
    "modifiers_left_out": "modifiers of behaviours, left out",
    "annotation_channels": "channels of an annotation, taken together",
    "behaviours_by_place": "columns taken as behaviours because they are the last and hold 0 and 1: are they?",
    "repeated_bouts": "bouts that an annotation file has twice, or that overlap their like: taken as one",
    "annotation_without_tracking": "annotations without tracking, not used",
    "unused_files": "other files, not used",
    "no_bouts": "annotated, without a single bout: every behaviour counts as absent there",
    "few_bouts": "actions with fewer than ten bouts: their thresholds are little more than a guess",
    "one_sided": "actions that only one side of the split has: nothing tells how well they are found",
    "no_scale": "no scale (px per cm): animals are taken to be 8 cm long from front to back by models of pairs",
    "absent_animals": "animals that are missing on more than half of the frames",
    "jumps": "points jump farther than an animal can (50 times its length in a second)",
    "swaps": "two animals seem to change places from one frame to the next",
    "long_holes": "nobody is tracked for more than half of the recording at a stretch",
    "points_outside": "points outside any picture, taken as missing",
    "unique_bodyparts": "unique body parts of no animal, left out",
    "animals_by_order": "animals meet in turn, so that a name is not the same mouse in every recording",
    "labelled_without_annotation": "behaviours listed but no annotation file",
    "annotated_without_behaviors": "annotation file but no behaviours listed",
}
"""In the order in which they are told."""
OF_SOURCE = (
    "annotation_without_tracking",
    "unused_files",
    "labelled_without_annotation",
    "annotated_without_behaviors",
)
"""Those that a Source lists, under the same names."""
_WITHIN_UNLABELLED = ("labelled_without_annotation", "annotated_without_behaviors")
TOLD = 3  # how many the terminal names
_WIDTH = 240  # characters of a reason there
LEAST_COVERED = 0.9  # of a recording's frames


def of_recordings(notes: Mapping[str, Mapping[str, str]]) -> Findings:
    """The notes of each recording, by finding."""
    findings: Findings = {}
    for recording, noted in notes.items():
        for name, what in noted.items():
            findings.setdefault(name, {})[recording] = what
    return findings


def describe(manifest: pd.DataFrame, missing_share: float, interpolated_share: float) -> dict[str, Any]:
    """The metrics of what is in the store, over all of it and per laboratory. manifest: MANIFEST_COLUMNS."""
    return {
        "recordings": len(manifest),
        "frames": int(manifest["frames"].sum()),
        "hours": _rounded((manifest["frames"] / manifest["fps"]).sum() / 3600),
        "missing_share": _rounded(missing_share),
        "interpolated_share": _rounded(interpolated_share),
        **{f"{name}_recordings": int((manifest["split"] == name).sum()) for name in ("train", "val", "test")},
        "labs": {
            str(lab): {
                "recordings": len(rows),
                "frames": int(rows["frames"].sum()),
                "fps": sorted(_rounded(fps) for fps in rows["fps"].unique()),
                "missing_share": _rounded(np.average(rows["missing_share"], weights=rows["frames"])),
                "individuals": sorted(int(n) for n in rows["individuals"].unique()),
            }
            for lab, rows in manifest.groupby("lab")
        },
    }


def _rounded(value: float) -> float:
    return round(float(value), 6)


def in_short(findings: Findings) -> dict[str, int]:
    """The metrics' part of it: how many there are of each."""
    return {name: len(findings.get(name, {})) for name in FINDINGS}


def in_full(findings: Findings) -> str:
    """What report.json of the store holds: every one of them, by name."""
    return json.dumps({name: findings.get(name, {}) for name in FINDINGS}, indent=1) + "\n"


def lines(metrics: Mapping[str, Any], findings: Findings) -> list[str]:
    """What the terminal shows of ingest's metrics and findings: a line of each kind, three named."""
    m = metrics
    told = [
        f"{m['recordings']} recordings ({m['train_recordings']} to train, {m['val_recordings']} to validate, "
        f"{m['test_recordings']} to predict), {m['frames']:,} frames, {m['hours']:.2f} h, {m['bouts']:,} bouts"
    ]
    for name, says in FINDINGS.items():
        found = findings.get(name, {})
        if not found or name in _WITHIN_UNLABELLED:
            continue
        named = [
            shown(f"{who} ({shorten(what, _WIDTH)})" if what else who)
            for who, what in islice(found.items(), TOLD)
        ]
        more = f" and {len(found) - TOLD} more" if len(found) > TOLD else ""
        told.append(f"  {says}: {len(found)}: {'; '.join(named)}{more}")
    return told


def labels_end_early(manifest: pd.DataFrame, last_stop: Mapping[str, int]) -> dict[str, str]:
    """Recordings whose labels cover much less than their frames, as labels of a slower clock do.

    manifest: MANIFEST_COLUMNS. last_stop: the last stop_frame of each recording with bouts, before they are cut.
    An annotator who writes a label for every frame tells how far the labels go. One who marks bouts alone does not,
    and a recording may well end without one; but of three or more of a laboratory one has a bout near its end.
    """
    early = {}
    covered = manifest["annotated_stop"] - manifest["annotated_start"]
    for row, n in zip(manifest.itertuples(), covered, strict=True):
        if 0 < n < LEAST_COVERED * row.frames or (n == 0 and row.recording in last_stop):
            early[row.recording] = f"labels cover {n} of {row.frames} frames"
    marked = manifest[manifest["recording"].isin(last_stop) & ~manifest["recording"].isin(early)]
    marked = marked.assign(stop=marked["recording"].map(last_stop).astype("int64") - marked["first_frame"])
    for _, lab in marked.groupby("lab"):
        least = LEAST_COVERED if len(lab) >= 3 else 0.5
        if (lab["stop"] < least * lab["frames"]).all():
            for row in lab.itertuples():
                early[row.recording] = f"the last bout ends after {row.stop} of {row.frames} frames"
    return early


def hole(present: np.ndarray) -> dict[str, str]:
    """The note on a recording in which nothing is present on more than half of the frames at a stretch.

    present: bool (T,). A wrong frame number far from the others makes such a hole, and so do numbers that wrapped.
    """
    there = np.concatenate([[-1], np.flatnonzero(present), [len(present)]])
    missing = np.diff(there) - 1
    longest = int(missing.argmax())
    if missing[longest] <= len(present) / 2:
        return {}
    start, stop = there[longest] + 1, there[longest + 1]
    return {"long_holes": f"rows {start} to {stop - 1} of {len(present)}"}
