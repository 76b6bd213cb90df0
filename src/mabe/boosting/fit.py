"""Fitting one binary classifier of boosted trees per laboratory and action, with LightGBM.

R rows of a laboratory, D columns.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from mabe.boosting.inputs import BLOCK, blocks, columns
from mabe.boosting.sampling import MOST_VALUES, Head, draw
from mabe.boosting.trees import Texts, Trees, lightgbm, text_of
from mabe.params import BoostingParams
from mabe.tasks.pairs import Pairs

FIXED = {
    "objective": "binary",
    "max_bin": 63,
    "bin_construct_sample_cnt": 10_000,
    "enable_bundle": False,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.1,
    "lambda_l2": 1.0,
    "deterministic": True,
    "force_col_wise": True,
    "verbose": -1,
}
"""LightGBM's settings that are no parameters."""


def fit(
    task: Pairs,
    frames: np.ndarray,
    subjects: pd.DataFrame,
    params: BoostingParams,
    *,
    done: Texts | None = None,
    on_laboratory: Callable[[Texts], None] = lambda texts: None,
) -> Trees:
    """Trees for each laboratory of `subjects`, rows of `task.subjects`, and each action that happens in them.

    frames: as `task.frames` gives them. done: laboratories that an earlier call has fitted; on_laboratory is called
    with all that are, whenever there is one more. The trees depend neither on this nor on the number of threads.
    """
    assert task.truth is not None
    heads, names = dict(done or {}), columns(task.layout, params.tree_windows_s)
    laboratories = sorted(set(subjects["lab"]) - heads.keys())
    trees = params.trees * sum(len(task.trained[lab]) for lab in laboratories)
    with tqdm(total=trees, desc="boosting", unit="tree", disable=None) as bar:
        for lab in laboratories:
            bar.set_postfix_str(lab)
            of_lab = subjects[subjects["lab"] == lab]
            ratio = params.negatives_per_positive
            rows = draw(
                of_lab,
                task.truth.states,
                negatives_per_positive=ratio,
                seed=params.seed,
                most=MOST_VALUES // len(names),
            )
            settings = FIXED | {
                "learning_rate": params.tree_learning_rate,
                "num_leaves": params.tree_leaves,
                "seed": params.seed % 2**31,
            }
            inputs = described(task, frames, rows.places, params.tree_windows_s) if rows.heads else None
            data = None if inputs is None else dataset(inputs, settings)
            del inputs  # which the dataset has in bins
            heads[lab] = {
                task.names[action]: fitted(data, head, settings, params.trees, bar)
                for action, head in rows.heads.items()
            }
            if bar.disable:
                print(f"{lab}: {len(rows.heads)} actions from {len(rows.places):,} samples", flush=True)
            on_laboratory(heads)
    return Trees(columns=names, windows_s=params.tree_windows_s, heads=heads)


def described(task: Pairs, frames: np.ndarray, places: np.ndarray, windows_s: Sequence[float]) -> np.ndarray:
    """float32 (R, D): the columns of places (R, 2), see `mabe.boosting.sampling.Rows`."""
    found = np.empty((len(places), len(columns(task.layout, windows_s))), np.float32)
    edges = np.flatnonzero(np.diff(places[:, 0], prepend=-1, append=-1))
    for begin, end in pairwise(edges):
        subject, at = task.subjects.loc[places[begin, 0]], places[begin:end, 1]
        samples = frames[subject["start"] : subject["start"] + subject["frames"]]
        for first, block in blocks(samples, subject, task.layout, task.rate_hz, windows_s):
            inside = slice(*np.searchsorted(at, (first, first + BLOCK)) + begin)
            found[inside] = block.rows(places[inside, 1] - first)
    return found


def dataset(inputs: np.ndarray, settings: dict[str, Any]) -> Any:
    """LightGBM's, with the inputs in bins, so that those may go."""
    names = [f"input{i}" for i in range(inputs.shape[1])]
    return lightgbm().Dataset(inputs, feature_name=names, params=settings).construct()


def fitted(data: Any, head: Head, settings: dict[str, Any], trees: int, bar: tqdm) -> str:
    """The text of the classifier of one head of the laboratory whose rows are in the Dataset `data`."""
    part = data.subset(head.rows).construct()
    part.set_label(head.happens.astype(np.float32))
    return text_of(
        lightgbm().train(settings, part, num_boost_round=trees, callbacks=[lambda _: bar.update(1)])
    )
