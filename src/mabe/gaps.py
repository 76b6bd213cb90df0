"""Short gaps in a track are bridged by a straight line; long ones stay missing."""

import numpy as np

from mabe.recordings import INTERPOLATED, MISSING, OBSERVED


def interpolate_gaps(xy: np.ndarray, max_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Fills each keypoint's gaps of up to `max_frames` frames linearly between the frames around the gap.

    xy: (T, M, K, 2); a keypoint is missing on a frame if x or y is NaN. Gaps at the start or the end of the
    recording stay missing. Returns xy, filled, NaN where still missing, and the status, uint8 (T, M, K).
    """
    frames, mice, keypoints, _ = xy.shape
    filled = xy.copy().reshape(frames, mice * keypoints, 2)
    no_x, no_y = np.isnan(filled[..., 0]), np.isnan(filled[..., 1])  # (T, M*K)
    missing = no_x | no_y
    filled[no_x ^ no_y] = np.nan
    status = np.where(missing, np.uint8(MISSING), np.uint8(OBSERVED))

    # Gap g is frames [begin[g], end[g]) of keypoint[g]. A present frame is put before and after the
    # recording, so that every gap begins and ends, and in the same order (keypoint, then time).
    tracked = np.flatnonzero(~missing.all(axis=0))
    padded = np.zeros((len(tracked), frames + 2), dtype=bool)
    padded[:, 1:-1] = missing[:, tracked].T
    row, begin = np.nonzero(padded[:, 1:] & ~padded[:, :-1])
    _, end = np.nonzero(~padded[:, 1:] & padded[:, :-1])
    short = (begin > 0) & (end < frames) & (end - begin <= max_frames)
    keypoint, begin, end = tracked[row[short]], begin[short], end[short]

    length = end - begin
    gap = np.repeat(np.arange(len(length)), length)  # (frames to fill,)
    step = np.arange(len(gap)) - np.repeat(np.cumsum(length) - length, length) + 1
    weight = (step / (length[gap] + 1))[:, None].astype(xy.dtype)
    before, after = filled[begin - 1, keypoint][gap], filled[end, keypoint][gap]
    place = begin[gap] + step - 1, keypoint[gap]
    filled[place] = before + weight * (after - before)
    status[place] = INTERPOLATED
    return filled.reshape(xy.shape), status.reshape(frames, mice, keypoints)
