"""Segmental F1@IoU: are the bouts found, however ragged their edges (Lea et al. 2017; MS-TCN, 2019)."""

from collections.abc import Collection, Sequence

import numpy as np

from mabe.errors import InputError
from mabe.ethogram import UNKNOWN


def runs(labels: np.ndarray, breaks: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(start, stop, label) of the runs of equal value in `labels` (n,); stop is exclusive.

    A run also ends before each row in `breaks`, so that no run crosses from one recording into the next.
    """
    labels = np.asarray(labels)
    if labels.size == 0:
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty, labels
    changes = np.ones(labels.size, dtype=bool)
    changes[1:] = labels[1:] != labels[:-1]
    if breaks is not None:
        changes[breaks] = True
    start = np.flatnonzero(changes)
    return start, np.append(start[1:], labels.size), labels[start]


def segment_f1(
    truth: Sequence[np.ndarray],
    predicted: Sequence[np.ndarray],
    *,
    iou: Sequence[float] = (0.1, 0.25, 0.5),
    background: Collection[int] = (0,),
) -> dict[str, float]:
    """F1 of segments at each threshold of intersection over union, e.g. {"0.1": .., "0.25": .., "0.5": ..}.

    `truth` and `predicted` hold one array of class ids (T,) per recording. A segment is a run of equal class
    within a recording; runs of the `background` ids are none. Frames of UNKNOWN truth are cut out of both
    sides. Each predicted segment is compared with the true segment of its class that it overlaps best: it is a
    true positive if their IoU reaches the threshold and no earlier segment has taken that true segment, else a
    false positive; true segments left over are false negatives. Counts are pooled over recordings and
    classes. Without any segment on either side F1 is 0.
    """
    true_rows, predicted_rows, breaks = _joined(truth, predicted)
    t_start, t_stop, t_class = _segments(true_rows, breaks, background)
    p_start, p_stop, p_class = _segments(predicted_rows, breaks, background)
    best = np.full(p_start.size, -1)  # index of the true segment that each predicted one overlaps best
    best_iou = np.zeros(p_start.size)
    for c in np.unique(p_class):
        of_truth, of_prediction = np.flatnonzero(t_class == c), np.flatnonzero(p_class == c)
        match, overlap = _best_match(
            t_start[of_truth], t_stop[of_truth], p_start[of_prediction], p_stop[of_prediction]
        )
        found = match >= 0
        best[of_prediction[found]] = of_truth[match[found]]
        best_iou[of_prediction] = overlap
    result = {}
    for threshold in iou:
        if not 0 < threshold <= 1:
            raise InputError(f"an IoU threshold is above 0 and at most 1, but {threshold} was asked for")
        # The first to take a true segment is right and any later one wrong, so the true positives are the
        # distinct true segments that some prediction reaches, whatever the order.
        hits = np.unique(best[best_iou >= threshold]).size
        total = p_start.size + t_start.size
        result[f"{threshold:g}"] = 2 * hits / total if total else 0.0
    return result


def _joined(
    truth: Sequence[np.ndarray], predicted: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All recordings end to end, the prediction UNKNOWN where the truth is, and the row each begins at."""
    if len(truth) != len(predicted):
        raise InputError(f"labels of {len(truth)} recordings but predictions of {len(predicted)}")
    for i, (t, p) in enumerate(zip(truth, predicted, strict=True)):
        if len(t) != len(p):
            raise InputError(f"recording {i} has {len(t)} labels but {len(p)} predicted frames")
    if not truth:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    true_rows = np.concatenate([np.asarray(t) for t in truth])
    predicted_rows = np.concatenate([np.asarray(p) for p in predicted])
    starts = np.cumsum([0] + [len(t) for t in truth])[:-1]
    starts = starts[starts < true_rows.size]  # an empty recording at the end begins at no row
    return true_rows, np.where(true_rows == UNKNOWN, UNKNOWN, predicted_rows), starts


def _segments(
    rows: np.ndarray, breaks: np.ndarray, background: Collection[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    start, stop, label = runs(rows, breaks)
    keep = ~np.isin(label, [UNKNOWN, *background])
    return start[keep], stop[keep], label[keep]


def _best_match(
    t_start: np.ndarray, t_stop: np.ndarray, p_start: np.ndarray, p_stop: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For each predicted segment of one class: the true segment of highest IoU (-1: none meets it), and that.

    Both sides are sorted and disjoint, so the true segments that a predicted one meets are neighbours.
    """
    first = np.searchsorted(t_stop, p_start, side="right")
    last = np.searchsorted(t_start, p_stop, side="left")
    meets = np.maximum(last - first, 0)
    p = np.repeat(np.arange(p_start.size), meets)  # every (predicted, true) pair that meets
    t = np.arange(p.size) - np.repeat(np.cumsum(meets) - meets, meets) + first[p]
    shared = np.minimum(p_stop[p], t_stop[t]) - np.maximum(p_start[p], t_start[t])
    either = np.maximum(p_stop[p], t_stop[t]) - np.minimum(p_start[p], t_start[t])
    overlap = shared / either
    # The last pair of each p in this order is its best one; of equals, the earliest true segment.
    order = np.lexsort((-t, overlap, p))
    match, best = np.full(p_start.size, -1), np.zeros(p_start.size)
    match[p[order]] = t[order]
    best[p[order]] = overlap[order]
    return match, best
