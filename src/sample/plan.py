"""Which recordings the sample has: laboratory, identifier, length, and the faults of each."""

from dataclasses import dataclass

import numpy as np

from mabe.params import SimulateParams
from sample.labs import LABS, Lab

# The k-th labelled recording of a laboratory (by its index in LABS) has these faults.
_FAULTS: dict[tuple[int, int], frozenset[str]] = {
    (0, 0): frozenset({"late_start"}),
    (1, 0): frozenset({"dropped_frames"}),
    (2, 0): frozenset({"no_mouse3"}),
    (3, 0): frozenset({"empty_bouts"}),
    (4, 0): frozenset({"overrun_bouts"}),
    (5, 0): frozenset({"quotes"}),
    (6, 0): frozenset({"dropped_frames", "late_start"}),
    (0, 1): frozenset({"overrun_bouts", "empty_bouts"}),
    (3, 1): frozenset({"dropped_frames"}),
    (1, 1): frozenset({"short"}),
    (0, 2): frozenset({"second_annotator"}),  # of the laboratory's recording before this one
    (6, 2): frozenset({"no_annotation"}),
}
_ROUNDS = (*range(7), *range(7))  # two recordings of every laboratory, then more of some than of others
_CYCLE = (0, 6, 1, 3, 5, 0, 1) * 4 + (0, 6, 1, 3, 2, 4, 6)
UNLABELLED_LABS = (2, 4)  # each also has one recording that nobody annotated
SHORT_FRAMES = 80


@dataclass(frozen=True, kw_only=True)
class Video:
    """One recording to simulate."""

    lab: Lab
    video_id: int
    seed: tuple[int, ...]
    """Entropy of the scene and the pose; the second annotator's video shares it with the first."""
    frames: int
    faults: frozenset[str]
    partial: bool = True
    """Whether it may lack some of what its laboratory looks for: no laboratory's first two do."""
    test: bool = False


def plan(params: SimulateParams) -> list[Video]:
    """Labelled recordings first, then unlabelled, then test; each has a seed of its own."""
    videos: list[Video] = []
    last: dict[int, list[Video]] = {}
    for i in range(params.sim_videos):
        lab = _ROUNDS[i] if i < len(_ROUNDS) else _CYCLE[(i - len(_ROUNDS)) % len(_CYCLE)]
        earlier = last.setdefault(lab, [])
        faults = _FAULTS.get((lab, len(earlier)), frozenset())
        video = _video(params, 0, i, LABS[lab], faults, partial=len(earlier) >= 2)
        if "second_annotator" in video.faults:
            first = earlier[-1]
            video = Video(
                lab=first.lab,
                video_id=video.video_id,
                seed=first.seed,
                frames=first.frames,
                partial=first.partial,
                faults=video.faults | first.faults,
            )
        earlier.append(video)
        videos.append(video)
    for i, lab in enumerate(UNLABELLED_LABS):
        videos.append(_video(params, 1, i, LABS[lab], frozenset({"unlabelled"})))
    for i in range(params.sim_test_videos):
        videos.append(_video(params, 2, i, LABS[i % len(LABS)], frozenset(), test=True))
    return videos


def _video(
    params: SimulateParams, group: int, index: int, lab: Lab, faults: frozenset[str], **kind: bool
) -> Video:
    seed = (params.sim_seed, group, index)
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    seconds = params.sim_seconds * rng.uniform(0.7, 1.3)
    return Video(
        lab=lab,
        # The index in the last digits makes identifiers unique.
        video_id=int(rng.integers(1, 2000)) * 1_000_000 + group * 100_000 + index,
        seed=seed,
        frames=SHORT_FRAMES if "short" in faults else max(2, round(seconds * lab.fps)),
        faults=faults,
        **kind,
    )
