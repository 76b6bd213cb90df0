"""From bouts to a class for every frame."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from mabe.data.store import Store
from mabe.errors import InputError
from mabe.ethogram import UNKNOWN, ClassScheme
from mabe.params import LabelParams


def frame_labels(
    bouts: pd.DataFrame,
    *,
    first_frame: int,
    frames: int,
    annotated: tuple[int, int],
    scheme: ClassScheme,
    unseen: pd.DataFrame | None = None,
) -> np.ndarray:
    """int8 (frames,): class of each frame of one recording, whoever acts on whom.

    bouts: action, start_frame, stop_frame (exclusive), as video_frame; row t is video_frame first_frame + t.
    Where bouts overlap, the highest class id wins; a frame of `annotated` ([start, stop), as video_frame)
    without a bout is class 0. Frames outside `annotated` and frames of an ignored class are UNKNOWN, and so is a frame
    without a bout on which nobody looked for an action that would have given it a class.

    unseen: columns of `bouts`, the stretches in which nobody looked for an action; None: none.
    """
    labels = np.full(frames, UNKNOWN, dtype=np.int8)
    begin, end = (min(max(frame - first_frame, 0), frames) for frame in annotated)
    labels[begin:end] = 0
    codes, actions = pd.factorize(bouts["action"])
    classes = np.array([scheme.class_id(action) for action in actions], dtype=np.int64)[codes]
    starts = np.clip(bouts["start_frame"].to_numpy(dtype=np.int64) - first_frame, begin, end)
    stops = np.clip(bouts["stop_frame"].to_numpy(dtype=np.int64) - first_frame, begin, end)
    for class_id in np.unique(classes):  # ascending, so that the highest id is written last
        of_class = classes == class_id
        opened = np.bincount(starts[of_class], minlength=frames + 1)
        closed = np.bincount(stops[of_class], minlength=frames + 1)
        labels[np.cumsum(opened - closed)[:-1] > 0] = class_id
    if unseen is not None and len(unseen):
        of = unseen[[scheme.class_id(action) != 0 for action in unseen["action"]]]
        begins, ends = (
            np.clip(of[name].to_numpy(dtype=np.int64) - first_frame, begin, end)
            for name in ("start_frame", "stop_frame")
        )
        hidden = np.cumsum(
            np.bincount(begins, minlength=frames + 1) - np.bincount(ends, minlength=frames + 1)
        )
        labels[(hidden[:-1] > 0) & (labels == 0)] = UNKNOWN
    labels[np.isin(labels, list(scheme.ignored))] = UNKNOWN
    return labels


def expand(params: LabelParams, store: Store, out: Path) -> dict[str, Any]:
    """Writes labels.npy (int8, a label per row of train_xy.npy) and classes.json to the directory `out`.

    Returns the frames of each class per split and per laboratory; "unknown" counts the masked ones.
    InputError if the store holds an action that the class scheme does not know.
    """
    scheme = params.scheme(store.ethogram)
    if params.num_classes not in (len(scheme.names), None):
        raise InputError(
            f"num_classes is {params.num_classes} but class_scheme {params.class_scheme} has {len(scheme.names)}"
        )
    manifest = store.recordings(set="train")
    bouts_by_recording = dict(list(store.bouts.groupby("recording")))
    no_bouts = store.bouts.iloc[:0]
    unseen = dict(list(store.unseen.groupby("recording")))
    labels = np.full(len(store.xy("train")), UNKNOWN, dtype=np.int8)
    rows = manifest.itertuples()
    for row in tqdm(rows, total=len(manifest), desc="label frames", unit="recording", delay=2, disable=None):
        try:
            labels[row.start : row.start + row.frames] = frame_labels(
                bouts_by_recording.get(row.recording, no_bouts),
                first_frame=row.first_frame,
                frames=row.frames,
                annotated=(row.annotated_start, row.annotated_stop),
                scheme=scheme,
                unseen=unseen.get(row.recording),
            )
        except InputError as error:
            raise InputError(
                f"recording {row.recording} with class_scheme {params.class_scheme}: {error}"
            ) from None
    out.mkdir(parents=True, exist_ok=True)
    np.save(out / "labels.npy", labels)
    (out / "classes.json").write_text(
        json.dumps({"names": list(scheme.names), "scored": list(scheme.scored)}, indent=2) + "\n"
    )
    return {
        "scheme": params.class_scheme,
        "classes": _frames_by_split(manifest, labels, scheme),
        "labs": {str(lab): _frames_by_split(rows, labels, scheme) for lab, rows in manifest.groupby("lab")},
    }


def check_classes(
    params: LabelParams, scheme: ClassScheme, frames: Mapping[str, Mapping[str, int]]
) -> str | None:
    """What to say of classes that validation lacks, if it lacks any; frames: of each class, by split.

    A macro-F1 is a mean over the classes that there are, so with one class left it is 1.0 for a model that has learnt
    nothing. InputError if a scored class has no training frame, or validation has but one scored class.
    """
    scored = [scheme.names[i] for i in scheme.scored]
    unseen = [name for name in scored if not frames["train"][name]]
    if unseen:
        raise InputError(
            f"class_scheme {params.class_scheme} has no training frame of {', '.join(unseen)}: "
            "choose the class_scheme of these annotations, or name what these animals never do in ignore_classes"
        )
    present = [name for name in scored if frames["val"][name]]
    if len(present) < 2:
        raise InputError(
            f"the validation recordings have labels of {len(present)} scored class"
            f"{f', {present[0]},' if present else 'es,'} which no macro-F1 can compare: choose another seed or "
            "val_fraction, or name a split_file"
        )
    absent = [name for name in scored if name not in present]
    if not absent:
        return None
    return f"no validation frame of {', '.join(absent)}: macro-F1 leaves out what is not predicted either"


def _frames_by_split(
    recordings: pd.DataFrame, labels: np.ndarray, scheme: ClassScheme
) -> dict[str, dict[str, int]]:
    """Frames of each class, and of none ("unknown"), in every split of `recordings`."""
    names = ("unknown", *scheme.names)  # UNKNOWN is -1
    frames: dict[str, dict[str, int]] = {}
    for split, rows in recordings.groupby("split"):
        counts = np.zeros(len(names), dtype=np.int64)
        for start, length in zip(rows["start"], rows["frames"], strict=True):
            counts += np.bincount(labels[start : start + length] - UNKNOWN, minlength=len(names))
        frames[str(split)] = {name: int(count) for name, count in zip(names, counts, strict=True)}
    return frames
