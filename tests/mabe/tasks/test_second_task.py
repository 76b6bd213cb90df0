"""A second kind of task in the same loop: several actions at once of every ordered pair of animals."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from pair_store import pair_store, recording
from small_training import CPU, SMALL, without_times

import mabe
from mabe.action_labels import ActionLabels, write_actions
from mabe.data.store import behaviors
from mabe.ethogram import UNKNOWN
from mabe.metrics.bouts import runs
from mabe.models.build import build_model
from mabe.predict import predict
from mabe.submission import competition_score, submission_of, validate
from mabe.tasks.task import BOUT_COLUMNS, Targets
from mabe.training.loop import TrainData, train
from runs.checkpoints import Checkpoints

MICE, COLUMNS = 3, 14  # of a mouse in a feature row


# The task, in 60 lines.


class Pairs:
    """An output per action, each true or not for itself; a subject is an ordered pair of one recording."""

    monitor = "f1_of_actions"

    def __init__(self, params, labels: ActionLabels, rows: pd.DataFrame):
        self.params, self.labels, self.outputs = params, labels, len(labels.actions)
        self.subjects = labels.index[["recording", "agent", "target"]].merge(rows, on="recording", how="left")
        self.pairs = torch.tensor(self.subjects[["agent", "target"]].to_numpy(np.int64)) - 1

    def targets(self, subjects, frames):
        rows = zip(subjects.tolist(), frames.rows.numpy(), strict=True)
        y = torch.from_numpy(np.stack([self.labels.states(k, r, self.labels.actions) for k, r in rows]))
        return Targets(y.clamp(min=0).float(), ((y != UNKNOWN) & frames.valid[..., None]).float())

    def inputs(self, x, subjects):
        """The agent's columns, then the target's: (B, T, 2 · COLUMNS)."""
        mice = x.unflatten(2, (MICE, COLUMNS)).transpose(1, 2)  # (B, mice, T, COLUMNS)
        which = torch.arange(len(x))[:, None]
        return mice[which, self.pairs[subjects]].transpose(1, 2).flatten(2)

    def network(self, columns):
        return build_model(dataclasses.replace(self.params, num_classes=self.outputs), 2 * COLUMNS)

    def loss(self, logits, targets):
        cost = F.binary_cross_entropy_with_logits(logits, targets.y, reduction="none")
        return (cost * targets.weight).sum()

    def tally(self, device):
        return Hits(self.outputs, device)

    def probabilities(self, logits):
        return logits.sigmoid()

    def card(self):
        return {"task": "pairs", "actions": list(self.labels.actions)}

    def bouts(self, subject, probabilities):
        """Runs of the most probable action that was looked for, where it is more probable than not."""
        actions = self.labels.actions_of(subject.name)
        p = probabilities[:, [self.labels.actions.index(action) for action in actions]]
        best = np.where(p.max(1) > 0.5, p.argmax(1), UNKNOWN)
        found = [(a, b, actions[c]) for a, b, c in zip(*runs(best), strict=True) if c != UNKNOWN]
        rows = [(subject["agent"], subject["target"], c, int(a), int(b)) for a, b, c in found]
        return pd.DataFrame(rows, columns=list(BOUT_COLUMNS))


class Hits:
    def __init__(self, outputs, device):
        self.counts = torch.zeros(3, outputs, device=device)  # hits, claims, truths

    def add(self, logits, targets):
        claims, truths = (logits > 0) * targets.weight, targets.y * targets.weight
        self.counts += torch.stack([n.sum((0, 1)) for n in (claims * truths, claims, truths)])

    def scores(self, counts):
        f1 = float((2 * counts[0] / (counts[1] + counts[2]).clamp(min=1)).mean())
        return {"f1_of_actions": f1}


# End of the task.


def made(folder):
    """Eight recordings of three mice in states A and B, which their first two columns tell. A mouse rears in A; it
    attacks in A who is in B, and sniffs in B: so it may do both at once, and who does it matters."""
    rng = np.random.default_rng(0)
    frames, count = 100, 8
    a, b = (rng.random((2, count * frames // 10, MICE)) < 0.4).repeat(10, axis=1)
    x = rng.normal(scale=0.3, size=(count * frames, MICE, COLUMNS))
    x[..., 0] += 3 * a
    x[..., 1] += 3 * b
    manifest, bouts, truth = [], [], {}
    for i in range(count):
        name, start = f"lab/{i}", i * frames
        listed = ["mouse1,mouse2,attack", "mouse1,mouse2,sniff", "mouse2,mouse1,attack", "mouse2,self,rear"]
        listed = ["mouse3,mouse1,sniff"] if i % 4 == 3 else listed
        manifest.append(recording(name, start, frames, listed, split="val" if i > 4 else "train"))
        part = slice(start, start + frames)
        for agent, target, action in ((int(p[5]), p[12:13], p.split(",")[2]) for p in listed):
            other = agent if action == "rear" else int(target)
            does = {
                "rear": a[part, agent - 1],
                "attack": a[part, agent - 1] & b[part, other - 1],
                "sniff": b[part, agent - 1],
            }[action]
            truth[name, agent, other, action] = does
            bouts += [(name, agent, other, action, s, e) for s, e, on in zip(*runs(does), strict=True) if on]
    return pair_store(folder / "store", manifest, bouts), x.reshape(len(x), -1).astype(np.float16), truth


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    store, features, truth = made(folder)
    write_actions(store, folder)
    params = dataclasses.replace(SMALL, epochs=12, dropout=0.0, eval_metrics=("f1_of_actions",))
    task = Pairs(params, ActionLabels(folder), store.recordings(set="train"))
    data = TrainData(task=task, features=features)
    result = train(params, data, Checkpoints(folder / "run", "k"), device=CPU)
    return folder, store, data, params, result, truth


def predictions(ran, task):
    _, _, data, _, result, _ = ran
    network = task.network(data.features.shape[1])
    network.load_state_dict(result.best_state)
    subjects = task.subjects[task.subjects["split"] == "val"]
    options = {"length": 16, "gap": 1, "stride": 8, "device": CPU, "amp": "off"}
    return subjects, list(predict(network, task, data.features, subjects, **options))


def test_every_ordered_pair_is_learnt_for_itself(ran):
    _, _, data, _, result, truth = ran
    assert result.history[-1]["val"]["f1_of_actions"] > 0.95
    assert result.best_epoch == 1 + np.argmax([r["val"]["f1_of_actions"] for r in result.history])
    subjects, found = predictions(ran, data.task)
    assert len(subjects) > subjects["recording"].nunique() == 3
    together = 0
    for (_, subject), p in zip(subjects.iterrows(), found, strict=True):
        pair = (subject["recording"], subject["agent"], subject["target"])
        listed = [j for j, action in enumerate(data.task.labels.actions) if (*pair, action) in truth]
        expected = np.stack([truth[(*pair, data.task.labels.actions[j])] for j in listed], axis=1)
        assert ((p[:, listed] > 0.5) == expected).mean() > 0.95
        together += ((p > 0.5).sum(1) > 1).sum()
    assert together > 0  # several actions at once


def test_what_is_predicted_becomes_bouts_of_agents_and_targets(ran):
    _, store, data, _, _, _ = ran
    rows = store.recordings(split="val")
    allowed = {int(row.video_id): behaviors(row.behaviors_labeled) for row in rows.itertuples()}

    subjects, found = predictions(ran, data.task)
    submission = submission_of(data.task, subjects, found)
    validate(submission, allowed)
    assert competition_score(rows, store.bouts, submission) > 0.8  # of two actions at once one is handed in
    swapped = submission_of(
        data.task, subjects.assign(agent=subjects["target"], target=subjects["agent"]), found
    )
    assert competition_score(rows, store.bouts, swapped) < 0.5


def test_a_killed_run_of_it_goes_on_to_the_same_end(ran, tmp_path):
    _, _, data, params, result, _ = ran

    def stop(record):
        if record["epoch"] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(params, data, Checkpoints(tmp_path, "k"), device=CPU, on_epoch=stop)
    resumed = train(params, data, Checkpoints(tmp_path, "k"), device=CPU)
    assert without_times(resumed.history) == without_times(result.history)


def test_the_loop_shows_the_score_that_the_task_names(ran, tmp_path, capsys):
    _, _, data, params, _, _ = ran
    train(dataclasses.replace(params, epochs=1), data, Checkpoints(tmp_path, "k"), device=CPU)
    assert "val f1_of_actions 0." in capsys.readouterr().out


def test_the_loop_and_the_prediction_import_no_task():
    """They know the methods of a Task alone; job.py opens the one that the parameters name."""
    package = Path(mabe.__file__).parent
    modules = [*package.joinpath("training").glob("*.py"), package / "predict.py"]
    for module in modules:
        imported = set(re.findall(r"^(?:from|import) (mabe[.\w]*)", module.read_text(), re.MULTILINE))
        tasks = {
            name for name in imported if name.startswith(("mabe.tasks", "mabe.ethogram", "mabe.metrics"))
        }
        allowed = (
            {"mabe.tasks", "mabe.tasks.pairs", "mabe.tasks.saved"}
            if module.name == "job.py"
            else {"mabe.tasks.task"}
        )
        assert tasks <= allowed, module
    assert len(modules) > 8
