"""Short gaps in a track are bridged by a straight line; long ones stay missing."""

import numpy as np

from mabe.data.store import INTERPOLATED, MISSING, OBSERVED


def interpolate_gaps(tracks: np.ndarray, max_frames: int) -> np.ndarray:
    """Fills each keypoint's gaps of up to `max_frames` frames linearly between the frames around the gap.

    tracks: (P, T, 2), filled in place, NaN where still missing; a keypoint is missing on a frame if x or y is
    NaN. Gaps at the start or the end of the recording stay missing. Returns the status, uint8 (P, T).
    """
    keypoints, frames, _ = tracks.shape
    no_x, no_y = np.isnan(tracks[..., 0]), np.isnan(tracks[..., 1])
    # Gap g is frames [begin[g], end[g]) of keypoint[g]. A present frame is put before and after the
    # recording, so that every gap begins and ends, and in the same order (keypoint, then time).
    padded = np.zeros((keypoints, frames + 2), dtype=bool)
    missing = np.logical_or(no_x, no_y, out=padded[:, 1:-1])
    tracks[no_x ^ no_y] = np.nan
    status = np.where(missing, np.uint8(MISSING), np.uint8(OBSERVED))

    change = padded[:, 1:] != padded[:, :-1]  # a gap begins, ends, begins, ...
    keypoint, edge = np.nonzero(change)
    keypoint, begin, end = keypoint[::2], edge[::2], edge[1::2]
    short = (begin > 0) & (end < frames) & (end - begin <= max_frames)
    keypoint, begin, end = keypoint[short], begin[short], end[short]

    length = end - begin
    gap = np.repeat(np.arange(len(length)), length)  # (frames to fill,)
    step = np.arange(len(gap)) - np.repeat(np.cumsum(length) - length, length) + 1
    weight = (step / (length[gap] + 1))[:, None].astype(tracks.dtype)
    before, after = tracks[keypoint, begin - 1][gap], tracks[keypoint, end][gap]
    place = keypoint[gap], begin[gap] + step - 1
    tracks[place] = before + weight * (after - before)
    status[place] = INTERPOLATED
    return status
