"""The loop on a small run: every parameter takes effect, the record, the best epoch, early stopping."""

import dataclasses
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from small_pairs import pairs_run
from small_training import CPU, SMALL, D, same_weights, small_data, small_run, without_times

from mabe.errors import InputError
from mabe.ethogram import UNKNOWN
from mabe.models import MODELS
from mabe.models.basic import Basic
from mabe.params import TrainParams, keys
from mabe.tasks.scene import Scene
from mabe.training.loop import train
from runs import RunError
from runs.checkpoints import Checkpoints
from runs.hardware import bf16_supported

torch.set_num_threads(1)


# What a run is with and without the change of one parameter: key -> (what both share, what the second changes).
AUGMENTED = {"use_augmentation": True}
PLATEAU = {
    "scheduler": "plateau",
    "plateau_patience": 0,
    "epochs": 4,
    "learning_rate": 0.05,
    "weight_decay": 0.5,
}
TWICE: dict[str, tuple[dict, dict]] = {
    "model_type": ({}, {"model_type": "tcn"}),
    "features": ({}, {"features": "motion"}),
    "num_mice": ({}, {"num_mice": 4}),
    "num_keypoints": ({}, {"num_keypoints": 18}),
    "num_classes": ({}, {"num_classes": 5, "class_weights": (1.0,) * 5}),
    "dropout": ({}, {"dropout": 0.1}),
    "sequence_length": ({}, {"sequence_length": 20}),
    "frame_gap": ({}, {"frame_gap": 2}),
    "train_stride": ({}, {"train_stride": 3}),
    "val_stride": ({}, {"val_stride": 3}),
    "windows_per_epoch": ({}, {"windows_per_epoch": 10}),
    "max_epochs": ({}, {"max_epochs": 1}),
    "seed": ({}, {"seed": 1}),
    "epochs": ({}, {"epochs": 3}),
    "batch_size": ({}, {"batch_size": 4}),
    "accumulation_steps": ({"model_type": "conv_bilstm", "epochs": 1}, {"accumulation_steps": 4}),
    "learning_rate": ({}, {"learning_rate": 1e-3}),
    "weight_decay": ({}, {"weight_decay": 0.1}),
    "optimizer": ({"weight_decay": 0.1}, {"optimizer": "adam"}),
    "scheduler": ({}, {"scheduler": "cosine"}),
    "plateau_patience": (PLATEAU, {"plateau_patience": 5}),
    "plateau_factor": (PLATEAU, {"plateau_factor": 0.9}),
    "min_lr": ({"scheduler": "cosine"}, {"min_lr": 1e-3}),
    "warmup_epochs": ({}, {"warmup_epochs": 2}),
    "loss": ({}, {"loss": "hinge"}),
    "class_weights": ({"label_smoothing": 0.1}, {"class_weights": (0.5, 10.0, 15.0, 15.0)}),
    "label_smoothing": ({}, {"label_smoothing": 0.1}),
    "mixup_alpha": ({}, {"mixup_alpha": 0.4}),
    "grad_clip": ({"grad_clip": 0.01}, {"grad_clip": 0.0}),
    "early_stopping_patience": (PLATEAU, {"early_stopping_patience": 1}),
    "save_freq": ({}, {"save_freq": 2}),
    "amp": ({"model_type": "tcn"}, {"amp": "bf16"}),
    "use_augmentation": ({"noise_std": 0.5}, AUGMENTED),
    "noise_std": (AUGMENTED, {"noise_std": 0.5}),
    "temporal_jitter": (AUGMENTED, {"temporal_jitter": 3}),
    "flip_horizontal": (AUGMENTED, {"flip_horizontal": True}),
    "flip_vertical": (AUGMENTED, {"flip_vertical": True}),
    "rotation_deg": (AUGMENTED, {"rotation_deg": 30.0}),
    "ema_decay": ({}, {"ema_decay": 0.5}),
    "folds": ({"model_type": "pair_cnn", "epochs": 1}, {"folds": (1,)}),
    "train_recordings": ({"model_type": "pair_cnn", "epochs": 1}, {"train_recordings": 3}),
    "pair_rate_hz": ({"model_type": "pair_cnn", "epochs": 1}, {"pair_rate_hz": 20.0}),
    "eval_metrics": ({}, {"eval_metrics": ("accuracy", "recall")}),
}


for _model in MODELS:  # a parameter of a model's own whose values are one_of several needs no line above
    for _key, _annotation in MODELS[_model].parameters.items():
        _choices = [choice for rule in get_args(_annotation)[1:] for choice in rule.choices]
        if _choices:
            _shared = {"model_type": _model, "epochs": 1, _key: _choices[0]}
            TWICE.setdefault(_key, (_shared, {_key: _choices[1]}))


def outcome(folder: Path, changes: dict) -> tuple:
    """All that a run leaves: weights, history, checkpoints; or why it was refused."""
    try:
        if changes.get("model_type") == "pair_cnn":
            result = pairs_run(folder, **{**changes, "windows_per_epoch": 16})
        else:
            result = small_run(folder, **changes)
    except InputError as error:
        return ("refused", str(error))
    weights = {name: value.numpy().tobytes() for name, value in result.last_state.items()}
    saved = [path.name for path in (folder / "run").glob("*.pt")]
    return (weights, without_times(result.history), sorted(saved))


@pytest.mark.parametrize("key", keys(TrainParams))
def test_every_parameter_takes_effect(key, tmp_path):
    assert key in TWICE, f"add a line for {key} to TWICE in {Path(__file__).name}: two runs that differ in it"
    shared, change = TWICE[key]
    assert key in change
    if key == "amp" and not bf16_supported(CPU):
        with pytest.raises(RunError, match="amp is bf16"):
            small_run(tmp_path, amp="bf16")
        return
    first = outcome(tmp_path / "a", shared)
    assert first == outcome(tmp_path / "again", shared)  # else any difference would be chance
    assert first != outcome(tmp_path / "b", shared | change)


def test_learns_what_can_be_learned_and_nothing_else(tmp_path):
    learned = small_run(tmp_path / "a", epochs=15, dropout=0.0)
    assert learned.history[-1]["val"]["f1_macro"] > 0.9
    noise = small_run(tmp_path / "b", small_data(separable=False), epochs=15, dropout=0.0)
    assert noise.history[-1]["val"]["f1_macro"] < 0.4


def test_record_and_result(tmp_path):
    seen = []
    params = dataclasses.replace(SMALL, epochs=3, warmup_epochs=2, eval_metrics=("accuracy", "f1_macro"))
    saved = []
    result = train(
        params,
        small_data().of(params),
        Checkpoints(tmp_path, "k"),
        device=CPU,
        on_epoch=seen.append,
        on_checkpoint=saved.append,
    )
    assert seen == result.history
    assert [r["epoch"] for r in seen] == [1, 2, 3]
    assert [r["lr"] for r in seen] == pytest.approx([1.5e-3, 3e-3, 3e-3])
    for part in ("train", "val"):
        assert list(seen[0][part]) == ["loss", "accuracy", "f1_macro"]
    assert [p.name for p in saved] == ["epoch-0001.pt", "epoch-0002.pt", "epoch-0003.pt"]
    assert result.seconds == pytest.approx(sum(r["seconds"] for r in seen))
    assert result.parameters == D * 128 + 128 + 128 * 4 + 4
    assert result.windows_per_second > 0
    assert result.peak_memory_mb > 0
    assert (result.epochs_run, result.bf16) == (3, False)


def test_validation_loss_is_the_mean_over_labelled_frames(tmp_path):
    """Against a plain pass over the recordings: val_stride is the window, and frames past a multiple of it come
    from a window that overlaps the one before."""
    data = small_data()
    weights = (0.5, 10.0, 15.0, 15.0)
    result = small_run(tmp_path, epochs=1, class_weights=weights)
    w = result.last_state
    losses, cost, hits, frames = 0.0, 0.0, 0, 0
    for start, length in data.rows.loc[data.rows["split"] == "val", ["start", "frames"]].itertuples(
        index=False
    ):
        first_frames = [*range(0, length - 16, 16), length - 16]
        for t in (start + first + i for first in first_frames for i in range(16)):
            if data.labels[t] == UNKNOWN:
                continue
            x = torch.from_numpy(data.features[t].astype(np.float64))
            hidden = torch.relu(w["layers.0.weight"].double() @ x + w["layers.0.bias"])
            log_p = torch.log_softmax(w["layers.3.weight"].double() @ hidden + w["layers.3.bias"], 0)
            label = int(data.labels[t])
            losses -= weights[label] * float(log_p[label])
            cost += weights[label]
            hits += int(log_p.argmax()) == label
            frames += 1
    record = result.history[0]["val"]
    assert record["loss"] == pytest.approx(losses / cost, rel=1e-5)
    accuracy = small_run(tmp_path / "b", epochs=1, class_weights=weights, eval_metrics=("accuracy",))
    assert accuracy.history[0]["val"]["accuracy"] == pytest.approx(hits / frames)


def test_accumulation_without_batch_statistics_is_the_whole_batch(tmp_path):
    options = {"epochs": 1, "dropout": 0.0, "learning_rate": 1e-3}
    whole = small_run(tmp_path / "a", **options)
    parts = small_run(tmp_path / "b", accumulation_steps=4, **options)
    for name, value in whole.last_state.items():
        torch.testing.assert_close(parts.last_state[name], value, rtol=1e-4, atol=1e-5)


def test_best_is_the_earliest_epoch_of_the_highest_monitored_score(tmp_path):
    result = small_run(tmp_path / "a", epochs=6, eval_metrics=(Scene.monitor,))
    scores = [r["val"][Scene.monitor] for r in result.history]
    assert result.best_epoch == scores.index(max(scores)) + 1
    prefix = small_run(tmp_path / "b", epochs=result.best_epoch)
    assert same_weights(prefix.last_state, result.best_state)


def test_early_stopping_counts_from_the_best_epoch(tmp_path):
    result = small_run(
        tmp_path, small_data(separable=False), epochs=60, early_stopping_patience=3, learning_rate=1e-9
    )
    assert result.best_epoch == 1
    assert result.epochs_run == 4
    assert (tmp_path / "run" / "epoch-0004.pt").exists()


def test_ignored_classes_are_never_predicted(tmp_path):
    data = small_data()
    labels = np.where(data.labels == 1, UNKNOWN, data.labels).astype(np.int8)
    data = dataclasses.replace(data, labels=labels, scored=(0, 2, 3))
    result = small_run(tmp_path, data, epochs=15, dropout=0.0)
    assert result.history[-1]["val"]["f1_macro"] > 0.9
    assert result.last_state["layers.3.bias"][1] == pytest.approx(
        small_run(tmp_path / "b", data, epochs=1, dropout=0.0).last_state["layers.3.bias"][1]
    )  # no gradient ever reached it


@pytest.mark.parametrize(("split", "use"), [("train", "training"), ("val", "validation")])
def test_no_labelled_window_is_refused(tmp_path, split, use):
    data = small_data()
    labels = data.labels.copy()
    rows = data.rows[data.rows["split"] == split]
    labels[rows["start"].min() : (rows["start"] + rows["frames"]).max()] = UNKNOWN
    with pytest.raises(InputError, match=f"no {use} window holds a labelled frame"):
        small_run(tmp_path, dataclasses.replace(data, labels=labels))
    with pytest.raises(InputError, match=f"no {use} window"):
        small_run(tmp_path, dataclasses.replace(data, rows=data.rows.drop(rows.index)))


def test_loss_that_diverges_ends_the_run_with_its_last_checkpoint(tmp_path):
    data = small_data()
    data.features[3, 0] = np.inf
    with pytest.raises(RunError, match=r"the loss of epoch 1 is (nan|inf): lower learning_rate"):
        small_run(tmp_path, data)
    assert not (tmp_path / "run").exists()


def test_log_has_a_line_for_the_run_and_one_for_each_epoch(tmp_path, capsys):
    small_run(tmp_path, epochs=2, accumulation_steps=2)
    lines = capsys.readouterr().out.strip().split("\n")
    assert len(lines) == 3
    assert "basic: 4,228 parameters" in lines[0]
    assert "steps of 2 x 4" in lines[0]
    assert lines[1].startswith("epoch 1/2 ")
    assert f"val {Scene.monitor} 0." in lines[2]


@pytest.mark.parametrize("monitor", ["acuracy", "per_class"])
def test_a_score_that_the_task_does_not_compute_is_refused_before_the_first_step(
    tmp_path, monkeypatch, monitor
):
    monkeypatch.setattr(Scene, "monitor", monitor)
    with pytest.raises(InputError, match=f"unknown monitor of the task '{monitor}': .*accuracy"):
        small_run(tmp_path)
    monkeypatch.undo()
    with pytest.raises(InputError, match="unknown eval_metrics 'mabe_f'"):
        small_run(tmp_path, eval_metrics=("mabe_f",))
    assert not (tmp_path / "run").exists()


def test_a_network_that_changes_the_number_of_frames_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Basic, "forward", lambda self, x: self.layers(x)[:, 2:])
    says = r"model_type basic turned 8 windows of 16 frames into \(8, 14, 4\).* here \(8, 16, 4\)"
    with pytest.raises(RunError, match=says):
        small_run(tmp_path)
