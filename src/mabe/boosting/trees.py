"""Boosted trees of every laboratory and action: what they predict, what they look at, and their text checked."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from mabe.boosting.inputs import blocks
from mabe.tasks.pairs import Pairs
from runs import RunError

Texts = dict[str, dict[str, str]]
"""By laboratory and action: LightGBM's text of a classifier."""


def lightgbm() -> ModuleType:
    """The package, which takes half a second to import; RunError if the system lacks what it needs."""
    try:
        import lightgbm
    except OSError as error:
        raise RunError(
            f"LightGBM cannot start ({error}): install libgomp1 (Linux) or libomp (macOS) with the system's packages"
        ) from None
    return lightgbm


@dataclass(frozen=True, kw_only=True)
class Trees:
    columns: tuple[str, ...]
    """Names of the D inputs, see `mabe.boosting.inputs.columns`."""
    windows_s: tuple[float, ...]
    """Lengths of the windows of their statistics (s)."""
    heads: Texts

    def predict(self, task: Pairs, frames: np.ndarray, subjects: pd.DataFrame) -> Iterator[np.ndarray]:
        """Yields float32 (T, A), the probabilities of each of `subjects`, rows of `task.subjects`, in their order.

        frames: as `task.frames` gives them. An action that the subject does not list, or that was nowhere learnt, has
        0. In a laboratory without trees of its own, an action has the mean over all laboratories that have it.
        """
        boosters = {
            (lab, action): lightgbm().Booster(model_str=text)
            for lab, of in self.heads.items()
            for action, text in of.items()
        }
        for _, subject in subjects.iterrows():
            labs = [subject["lab"]] if subject["lab"] in self.heads else sorted(self.heads)
            asked = {
                task.names.index(action): [boosters[lab, action] for lab in labs if (lab, action) in boosters]
                for action in {*subject["listed"], *subject["shared"]}
                if action in task.names
            }
            p = np.zeros((subject["frames"], task.outputs), np.float32)
            samples = frames[subject["start"] : subject["start"] + subject["frames"]]
            for first, block in blocks(samples, subject, task.layout, task.rate_hz, self.windows_s):
                rows = block.rows(np.arange(block.length))
                for action, of_action in asked.items():
                    if of_action:
                        found = [booster.predict(rows) for booster in of_action]
                        p[first : first + block.length, action] = np.mean(found, axis=0)
            yield p

    def gain(self) -> pd.DataFrame:
        """Columns input, gain: the share of each input, with all that is derived from it, in what the splits gained,
        the mean over the classifiers; the largest first."""
        source = [re.sub(r" (mean|std|min|max)? ?\S+ s$", "", name) for name in self.columns]
        total = pd.Series(0.0, index=dict.fromkeys(source))
        texts = [text for of in self.heads.values() for text in of.values()]
        for text in texts:
            gain = lightgbm().Booster(model_str=text).feature_importance("gain")
            total += pd.Series(gain / max(gain.sum(), 1e-12), index=source).groupby(level=0).sum() / len(
                texts
            )
        found = total.sort_values(ascending=False, kind="stable")
        return found.rename_axis("input").rename("gain").reset_index()


def text_of(booster: Any) -> str:
    """The text of a LightGBM Booster, without what no prediction needs: the settings, which name the threads."""
    end = "\nend of trees\n"
    return booster.model_to_string().split(end)[0] + end
