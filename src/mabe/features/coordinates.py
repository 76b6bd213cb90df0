"""Features computed from keypoints on the device that trains, so that it needs to hold only the keypoints.

Of all keypoints a laboratory tracks a part, so what is held is a fraction of the feature array. The feature files
are the reference: these are the same operations in the same order, in float32, and give the same bits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from mabe.errors import InputError
from mabe.features.kinematics import select, stand_ins, survey
from mabe.features.normalise import BESIDE, CLIP, MISSING_VALUE, NEAR, Normalisation
from mabe.params import COORDINATE_SETS


@dataclass(frozen=True, kw_only=True)
class Coordinates:
    """The tracked keypoints of R recordings, P = mice x keypoints of the skeleton.

    A recording's values lie together, frame after frame, only the points that it tracks at all.
    """

    values: Tensor
    """float32 (V + 1, 2): x, y; the last is NaN, for what is not tracked."""
    jumps: Tensor
    """bool (V + 1,): the point is another body part than on the frame before, see `stand_ins`; empty if none can be."""
    begin: Tensor
    """int64 (R,): first row of each recording in the set's arrays, ascending."""
    frames: Tensor
    """int64 (R,)."""
    offset: Tensor
    """int64 (R,): where its values begin."""
    width: Tensor
    """int64 (R,): how many points it tracks."""
    column: Tensor
    """int64 (R, P): the position of a point among those of a frame, -1 if it is not tracked."""
    middle: Tensor
    """float32 (R, 2): the centre that positions are taken about."""
    fps: Tensor
    """float32 (R,)."""
    mean: Tensor
    """float32 (D,), and std: of the normalisation."""
    std: Tensor

    @classmethod
    def of(
        cls, xy: np.ndarray, parts: tuple[str, ...], recordings: pd.DataFrame, normalisation: Normalisation
    ) -> Self:
        """On the CPU. xy: float32 (N, I, P, 2), the store's; parts: the names of its P body parts; recordings:
        manifest rows with start, frames, fps.

        InputError for features that are not computed frame by frame.
        """
        if normalisation.features not in COORDINATE_SETS:
            raise InputError(
                f"features {normalisation.features} cannot be computed while training: read the file"
            )
        view = normalisation.view(parts)
        mean, std, _, _ = normalisation.arrays
        may_jump = normalisation.features == "motion" and view.has_stand_ins
        values, jumps, column, middle, width = [], [], [], [], []
        table = recordings.sort_values("start")
        for start, frames in _progress(table):
            part = xy[start : start + frames]
            tracked, recording_centre = survey(part, view)
            points = select(part, view).reshape(frames, -1, 2)
            middle.append(recording_centre)
            column.append(np.full(points.shape[1], -1))
            column[-1][tracked] = np.arange(len(tracked))
            width.append(len(tracked))
            values.append(points[:, tracked].reshape(-1, 2))
            if may_jump:
                slots = stand_ins(part, view).reshape(frames, -1)[:, tracked]
                jumps.append((np.diff(slots, axis=0, prepend=slots[:1]) != 0).reshape(-1))
        values.append(np.full((1, 2), np.nan, np.float32))
        if may_jump:
            jumps.append(np.zeros(1, bool))
        frames_of, width_of = table["frames"].to_numpy(np.int64), np.array(width, np.int64)
        fps = (
            table["fps"]
            if normalisation.motion_fps is None
            else np.full(len(table), normalisation.motion_fps)
        )
        return cls(
            values=torch.from_numpy(np.concatenate(values)),
            jumps=torch.from_numpy(np.concatenate([np.zeros(0, bool), *jumps])),
            begin=torch.from_numpy(table["start"].to_numpy(np.int64, copy=True)),
            frames=torch.from_numpy(frames_of.copy()),
            offset=torch.from_numpy(np.cumsum(frames_of * width_of) - frames_of * width_of),
            width=torch.from_numpy(width_of),
            column=torch.from_numpy(np.array(column, np.int64)),
            middle=torch.from_numpy(np.array(middle, np.float32)),
            fps=torch.from_numpy(np.asarray(fps, np.float32).copy()),
            mean=torch.from_numpy(mean.copy()),
            std=torch.from_numpy(std.copy()),
        )

    @property
    def nbytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in vars(self).values())

    @property
    def device(self) -> torch.device:
        return self.values.device

    def to(self, device: torch.device) -> Self:
        """The same on another device."""
        return type(self)(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def features(self, rows: Tensor) -> Tensor:
        """float16 (n, D): what the feature array holds in `rows`, int64 (n,), of the recordings."""
        recording = torch.searchsorted(self.begin, rows, right=True) - 1
        frame, last = rows - self.begin[recording], self.frames[recording] - 1
        position = self.values[self._places(recording, frame)] - self.middle[recording][:, None]
        parts = [position.flatten(1)]
        if len(self.mean) > parts[0].shape[1]:  # motion, not coords
            # Frame 0 repeats frame 1, in velocity and in acceleration.
            at = torch.minimum(frame.clamp(min=1), last)
            before = torch.minimum((at - 1).clamp(min=1), last)
            velocity = self._velocity(recording, at)
            acceleration = (velocity - self._velocity(recording, before)) * self.fps[recording][:, None, None]
            parts += [_magnitude(velocity), _magnitude(acceleration)]
        x = torch.cat(parts, dim=1).sub_(self.mean).div_(self.std).clamp_(-CLIP, CLIP)
        x.masked_fill_((x - MISSING_VALUE).abs() <= NEAR, BESIDE)
        return x.masked_fill_(x.isnan(), MISSING_VALUE).half()

    def _velocity(self, recording: Tensor, frame: Tensor) -> Tensor:
        """(n, P, 2) per second, from the frame before; 0 on a recording's frame 0."""
        place = self._places(recording, frame)
        v = self.values[place] - self.values[self._places(recording, (frame - 1).clamp(min=0))]
        v *= self.fps[recording][:, None, None]
        # Another body part in the point's place is not a movement.
        return v.masked_fill_(self.jumps[place][..., None], torch.nan) if len(self.jumps) else v

    def _places(self, recording: Tensor, frame: Tensor) -> Tensor:
        """int64 (n, P): where in `values` the points of the frames are."""
        column = self.column[recording]
        place = (self.offset[recording] + frame * self.width[recording])[:, None] + column
        return place.masked_fill_(column < 0, len(self.values) - 1)


def _magnitude(vectors: Tensor) -> Tensor:
    # In double: on CPUs torch's float32 square root is one bit off here and there, numpy's never.
    return (vectors[..., 0] ** 2 + vectors[..., 1] ** 2).double().sqrt_().float()


def _progress(table: pd.DataFrame) -> Iterator[tuple[int, int]]:
    """start and frames of each recording, with a bar."""
    spans = list(table[["start", "frames"]].itertuples(index=False, name=None))
    return iter(tqdm(spans, desc="read keypoints", unit="recording", delay=2, disable=None))
