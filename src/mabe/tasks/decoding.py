"""The decoder of a task and the report on it: what evaluate and export call, apart from what trains."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mabe.data.store import Store
from mabe.params import EvaluateParams, SubmissionParams
from mabe.tasks import scene_report
from mabe.tasks.scene import Scene
from mabe.tasks.scene_bouts import ActionRule, SceneDecoder
from mabe.tasks.task import Decoder, Report, Task


def learn_decoder(task: Task, store: Store, settings: EvaluateParams) -> Decoder:
    """The decoder of a trained task, learnt from the annotations of the training split."""
    assert isinstance(task, Scene)
    bouts = store.bouts[store.bouts["recording"].isin(store.recordings(split="train")["recording"])]
    return _scene(ActionRule.fit(bouts, settings.scheme(store.ethogram)), store, settings)


def restore_decoder(card: Mapping[str, Any], store: Store, settings: SubmissionParams) -> Decoder:
    """The decoder whose `card` evaluate wrote."""
    return _scene(ActionRule.from_dict(card["action_rule"]), store, settings)


def report(
    task: Task,
    decoder: Decoder,
    subjects: pd.DataFrame,
    probabilities: Sequence[np.ndarray],
    store: Store,
    settings: EvaluateParams,
) -> Report:
    """How good the probabilities of `subjects`, float32 (frames, O) each, are against what was annotated."""
    assert isinstance(task, Scene)
    assert isinstance(decoder, SceneDecoder)
    return scene_report.report(task, decoder, subjects, probabilities, store, settings)


def _scene(rule: ActionRule, store: Store, settings: SubmissionParams) -> SceneDecoder:
    return SceneDecoder(
        rule=rule, store=store, min_bout_s=settings.min_bout_s, merge_gap_s=settings.merge_gap_s
    )
