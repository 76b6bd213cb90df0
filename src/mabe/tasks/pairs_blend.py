"""How much of a blend each of its parts is, by what it predicts of recordings that it was held out from."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mabe import plots_pairs
from mabe.data.store import Store
from mabe.params import EvaluateParams
from mabe.submission import competition_score
from mabe.tasks.pairs_decoder import PairsDecoder
from mabe.tasks.pairs_fit import Fit
from mabe.tasks.pairs_report import annotated, decide, submission_from

GRID = tuple(k / 10 for k in range(11))
"""Weights of the first part that are tried."""


class Blend(NamedTuple):
    """The parts of a blend together."""

    weights: dict[str, float]
    probabilities: list[np.ndarray]
    """float16 (frames, actions) of each subject."""
    alone: dict[str, float]
    """mabe_f of each part, decided as the blend is."""
    tables: dict[str, pd.DataFrame]
    pictures: dict[str, Callable[[Path], None]]


def blend(
    task: Any,
    subjects: pd.DataFrame,
    parts: Mapping[str, Sequence[np.ndarray]],
    store: Store,
    settings: EvaluateParams,
) -> Blend:
    """The blend of two parts whose mabe_f is highest, of equal ones that nearest to halves.

    parts: by name, float16 (frames, actions) of each of `subjects`. What is compared is mabe_f with thresholds alone,
    from other groups of recordings.
    """
    first, second = parts
    scheme = settings.scheme(store.ethogram)
    _, listed, bouts = annotated(store, subjects, scheme)

    def score(fit: Fit, decoders: Sequence[PairsDecoder]) -> float:
        decided = decide(fit, decoders, multi=False)
        return competition_score(listed, bouts, submission_from(decided, subjects))

    scores = {}
    for w in GRID:
        fit = Fit(task, subjects, mixed(parts[first], parts[second], w), store, scheme)
        scores[w] = score(fit, fit.decoders(fit.rest, smoothing=False))
    fits = {name: Fit(task, subjects, of, store, scheme) for name, of in parts.items()}
    weight = max(GRID, key=lambda w: (round(scores[w], 9), -abs(w - 0.5)))
    return Blend(
        weights={first: weight, second: round(1 - weight, 1)},
        probabilities=mixed(parts[first], parts[second], weight),
        alone={name: score(fit, fit.others(smoothing=settings.smoothing)) for name, fit in fits.items()},
        tables={"blend.csv": pd.DataFrame({f"weight_of_{first}": GRID, "mabe_f": scores.values()})},
        pictures={
            "blend.png": partial(plots_pairs.blend, scores=scores, chosen=weight, parts=(first, second))
        },
    )


def mixed(first: Sequence[np.ndarray], second: Sequence[np.ndarray], weight: float) -> list[np.ndarray]:
    """float16 (frames, actions) of each subject: the mean of two, of which the first counts `weight`."""
    shares = np.float32(weight), np.float32(1 - weight)
    return [(shares[0] * a + shares[1] * b).astype(np.float16) for a, b in zip(first, second, strict=True)]
