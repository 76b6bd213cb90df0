"""The video training loop: what it learns, records, validates on and refuses."""

import ast
import dataclasses
import json
import math
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import taehv_small as small
import torch
from torch import nn

from runs import InputError, RunError
from runs.ema import Average
from runs.parameters import keys
from runs.processes import Processes
from taehv import dataset, latents, memory, metrics, model, params, progress, state, targets, video
from taehv import teacher as teacher_module
from taehv import train as loop
from taehv.annotate import annotate
from taehv.annotations import Annotation
from taehv.identity import NEUTRAL
from taehv.initial import untrained
from taehv.model import TAEHV
from taehv.params import AnnotateParams, ComputeParams, TrainParams
from taehv.train import learning_rate, train, validate

CPU = torch.device("cpu")
ALONE = Processes(CPU)
EASY = {"min_scale": 1.0, "flip": False, "max_frame_delta": 1, "learning_rate": 5e-3}


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    torch.set_num_threads(1)
    small.shrink(monkeypatch)


# Learning


@pytest.mark.integration
def test_one_clip_is_learned(tmp_path, monkeypatch):
    """Overfitting: the same frames are trained on and validated."""
    clip = small.annotation().train[0]
    monkeypatch.setattr(small, "annotation", lambda: Annotation(train=(clip,), val=(clip,), rejected={}))
    result = small.run(
        tmp_path, max_steps=50, validate_every=50, warmup_steps=5, ema_decay=0.9, **EASY, clips_frames=5
    )
    losses = [record["loss"] for record in result["history"] if "loss" in record]
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
    assert result["best_step"] == 50
    assert result["best_psnr"] > result["untrained_psnr"] + 1


def test_saturated_pixels_come_back(tmp_path, monkeypatch):
    """Nothing is clamped in training: a picture that is far too bright gets darker."""

    def bright(p: TrainParams) -> TAEHV:
        network = untrained(p)
        nn.init.constant_(network.decoder[-1].bias, 3.0)
        return network

    monkeypatch.setattr(state, "untrained", bright)
    result = small.run(tmp_path, max_steps=30, learning_rate=1e-2, ema_decay=0.0)
    first, *_, last = (record["loss"] for record in result["history"] if "loss" in record)
    assert first > 4
    assert last < 0.9 * first


def test_learning_rate_warms_up_and_follows_a_cosine():
    p = small.pick(TrainParams, max_steps=110, warmup_steps=10, learning_rate=1.0)
    assert [learning_rate(p, s) for s in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert [learning_rate(p, s) for s in (10, 60, 110)] == pytest.approx([1.0, 0.5, 0.0])
    rates = [learning_rate(p, s) for s in range(10, 110)]
    assert all(a > b > 0 for a, b in pairwise(rates))
    constant = dataclasses.replace(p, scheduler="constant")
    assert [learning_rate(constant, s) for s in (0, 10, 109)] == pytest.approx([0.1, 1.0, 1.0])


def test_training_starts_from_the_seed(tmp_path, monkeypatch):
    started = []

    def noted(p: TrainParams) -> TAEHV:
        started.append(untrained(p))
        return started[-1]

    monkeypatch.setattr(state, "untrained", noted)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        small.run(tmp_path / name, max_steps=2, seed=seed)
    a, b, c = ((tmp_path / name / "last.safetensors").read_bytes() for name in "abc")
    assert len(started) == 3
    assert a == b != c


def test_average_follows_the_weights_with_a_ramp():
    source = nn.Linear(1, 1, bias=False)
    nn.init.constant_(source.weight, 0.0)
    average = Average(source, 0.5)
    nn.init.constant_(source.weight, 1.0)
    average.update(1)  # d = 2 / 11
    assert average.model.weight.item() == pytest.approx(1 - 2 / 11)
    average.update(1000)  # d = 0.5
    assert average.model.weight.item() == pytest.approx(1 - 1 / 11)
    assert not average.model.weight.requires_grad
    assert Average(source, 0.0).model is source


def test_averaged_weights_are_those_validated_and_exported(tmp_path):
    from taehv import weights

    seen = []
    result = small.run(tmp_path, max_steps=3, ema_decay=0.9, on_record=seen.append)
    state = torch.load(tmp_path / "checkpoint-3/state.pt", weights_only=True)
    exported = weights.read(tmp_path / "last.safetensors").state_dict()
    for name, value in exported.items():
        assert torch.equal(value, state["average"][name])
        assert state["model"][name].shape == value.shape
    assert any(not torch.equal(exported[name], state["model"][name]) for name in exported)
    assert seen == result["history"]


def test_gradient_checkpointing_trains_the_same_weights(tmp_path):
    for name, on in (("with", True), ("without", False)):
        small.run(tmp_path / name, max_steps=2, gradient_checkpointing=on)
    a, b = ((tmp_path / name / "last.safetensors").read_bytes() for name in ("with", "without"))
    assert a == b


def test_compile_compiles_the_model(tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(TAEHV, "compile", lambda model: compiled.append(model))
    small.run(tmp_path / "a", max_steps=2, compile=False)
    assert compiled == []
    small.run(tmp_path / "b", max_steps=2, compile=True)
    assert len(compiled) == 1


def test_accumulated_passes_make_the_step_of_one_batch(tmp_path):
    histories = [
        small.run(tmp_path / f"{b}", batch_size=b, accumulation_steps=4 // b, max_steps=3)["history"]
        for b in (4, 2, 1)
    ]
    for other in histories[1:]:
        for a, b in zip(histories[0], other, strict=True):
            for name in ("loss", "grad_norm", "val_psnr"):
                assert a.get(name, 0.0) == pytest.approx(b.get(name, 0.0), rel=1e-3)


def test_gradients_are_clipped(tmp_path):
    def moved(clip: float) -> float:
        """How far the weights go when Adam's first step is not the same for all gradients (weight decay off)."""
        small.run(tmp_path / f"{clip}", max_steps=2, grad_clip=clip, ema_decay=0.0, weight_decay=0.0)
        state = torch.load(tmp_path / f"{clip}/checkpoint-2/state.pt", weights_only=True)["optimiser"][
            "state"
        ]
        return math.sqrt(sum(float(s["exp_avg"].square().sum()) for s in state.values()))

    free, clipped = moved(0.0), moved(1e-4)
    assert clipped < 0.2e-4 * 1.01  # the first moment of two gradients of norm 1e-4
    assert free > 10 * clipped


# Records and validation


def test_records_hold_what_a_reader_needs(tmp_path):
    result = small.run(tmp_path, max_steps=5, validate_every=2)
    first, *others = result["history"]
    assert first["step"] == 0
    assert first.keys() == {"step", "val_psnr"}
    assert [record["step"] for record in others] == [1, 2, 3, 4, 5]
    assert [record["step"] for record in others if "val_psnr" in record] == [2, 4, 5]
    for record in others:
        assert {"loss", "recon", "lr", "grad_norm", "samples_per_second"} <= record.keys()
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["effective_batch"] == 2
    assert list((tmp_path / "tensorboard").iterdir())


def test_long_runs_are_recorded_now_and_then():
    assert [progress.record_every(n) for n in (1, 499, 1000, 100_000)] == [1, 1, 2, 200]


def test_effective_batch_is_printed_as_arithmetic(tmp_path, capsys):
    small.run(tmp_path, max_steps=2, batch_size=2, accumulation_steps=3)
    said = capsys.readouterr().out
    assert "2 samples x 3 passes x 1 processes = 6 samples a step" in said
    assert "enlarged" not in said


def test_clips_that_are_enlarged_are_told(tmp_path, capsys):
    """The built-in clips of one preset, which lie there already, are not those of a larger one."""
    annotation = small.annotation()
    small.run(tmp_path, max_steps=2, height=40)
    assert f"{len(annotation.train)} clips are smaller than 40x32: enlarged" in capsys.readouterr().out


class Perfect:
    """Decodes the input itself, shifted by some frames."""

    def __init__(self, shift: int) -> None:
        self.shift = shift

    def __call__(self, x):
        n = 4 * -(-x.shape[1] // 4) - 3
        return None, x.roll(self.shift, 1)[:, :n]


def test_validation_compares_a_frame_with_itself():
    clips = [torch.randint(0, 256, (12, 3, 16, 16), dtype=torch.uint8) for _ in range(3)]
    assert validate(Perfect(0), clips, ALONE, bf16=False) == pytest.approx(metrics.PEAK_DB)
    assert validate(Perfect(3), clips, ALONE, bf16=False) < 12


def test_validation_is_the_mean_over_all_processes_clips():
    clips = [torch.full((5, 3, 16, 16), value, dtype=torch.uint8) for value in (0, 51, 102)]

    class Grey:
        def __call__(self, x):
            return None, torch.full_like(x, 0.5)

    shares = []
    for rank in range(2):
        part = Processes(CPU)
        part.rank, part.count = rank, 2
        part.sum = lambda value: value  # type: ignore[method-assign]
        shares.append(validate(Grey(), clips, part, bf16=False))
    assert sum(shares) == pytest.approx(validate(Grey(), clips, ALONE, bf16=False))


@pytest.mark.parametrize("split", ["clips", "tail"])
def test_validation_sees_no_training_frame(tmp_path, monkeypatch, split):
    read = {"train": set(), "val": set()}
    monkeypatch.setattr(small, "annotation", lambda: ANNOTATIONS[split])
    use = "val"
    from taehv import video

    original = video.read

    def recorded(path, first, count, delta=1):
        read[use].update((path, first + i * delta) for i in range(count))
        return original(path, first, count, delta)

    monkeypatch.setattr(video, "read", recorded)
    held_out = loop.validation

    def validation(*arguments):
        nonlocal use
        use = "val"
        found = held_out(*arguments)
        use = "train"
        return found

    monkeypatch.setattr(loop, "validation", validation)
    small.run(tmp_path, max_steps=20, batch_size=2)
    assert read["train"]
    assert read["val"]
    assert not read["train"] & read["val"]


ANNOTATIONS = {
    "clips": small.annotation(),
    "tail": small.annotation(val_split="tail", val_fraction=0.45),
}


# Options that someone reads


def read_in(folder: Path) -> set[str]:
    """Names of parameters that a source reads, as an attribute of something that holds parameters."""
    holders = ("params", "settings", "trained", "compute", "machine")
    found = set()
    for path in folder.rglob("*.py"):
        if path.name == "params.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith(holders):
                found.add(node.attr)
    return found


def test_every_parameter_is_read_somewhere():
    read = read_in(small.ROOT / "src/taehv") | read_in(small.ROOT / "stages/video")
    read |= read_in(small.ROOT / "src/runs/remote")  # what a container gets
    read |= {"crop_height", "crop_width"} if "crop" in read else set()  # TrainParams.crop reads the two
    for cls in params.STAGES.values():
        assert set(keys(cls)) - read == set(), cls.__name__


def test_what_a_checkpoint_may_differ_in_are_parameters():
    assert set(NEUTRAL) <= set(keys(TrainParams))


def test_debug_runs_a_few_steps_and_reports_each(tmp_path, capsys, monkeypatch):
    looked = []
    monkeypatch.setattr(torch.autograd, "set_detect_anomaly", Anomaly(looked))
    result = small.run(tmp_path, max_steps=1000, debug=True)
    assert result["steps"] == 4
    assert looked == [True]
    out = capsys.readouterr().out
    assert all(f"step {n}/1000" in out for n in (1, 2, 3, 4))


class Anomaly:
    def __init__(self, looked):
        self.looked = looked

    def __call__(self, on):
        self.looked.append(on)
        return self

    def __enter__(self):
        pass

    def __exit__(self, *exception):
        pass


def test_profile_writes_a_trace_and_a_table(tmp_path, capsys):
    small.run(tmp_path, max_steps=6, profile=True)
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert sum(event.get("name", "").startswith("ProfilerStep#") for event in events) >= 3
    assert "convolution" in (tmp_path / "profile.txt").read_text()
    assert "convolution" in capsys.readouterr().out


# What is refused


def test_exceptions_are_not_swallowed(tmp_path, monkeypatch):
    calls = []

    class Failing(loop.Loss):
        def __call__(self, *arguments):
            calls.append(1)
            if len(calls) == 2:
                raise RuntimeError("a fault in the second pass")
            return super().__call__(*arguments)

    monkeypatch.setattr(loop, "Loss", Failing)
    with pytest.raises(RuntimeError, match="a fault in the second pass"):
        small.run(tmp_path)
    assert len(calls) == 2
    assert not list(tmp_path.glob("checkpoint-*"))
    assert not (tmp_path / "last.safetensors").exists()


def test_loss_that_is_no_number_ends_the_run_before_it_is_saved(tmp_path, monkeypatch):
    class Exploding(loop.Loss):
        def __call__(self, *arguments):
            total, parts = super().__call__(*arguments)
            return total * math.nan, parts

    monkeypatch.setattr(loop, "Loss", Exploding)
    with pytest.raises(RunError, match="the loss is nan at step 1: lower learning_rate"):
        small.run(tmp_path, save_freq=1)
    assert not list(tmp_path.glob("checkpoint-*"))


def test_gradient_that_is_no_number_ends_the_run_before_it_is_saved(tmp_path, monkeypatch):
    """The loss of that step is one still: the weights after it would not be."""

    class Rooted(loop.Loss):
        def __call__(self, *arguments):
            total, parts = super().__call__(*arguments)
            return total + (total - total.detach()).sqrt(), parts  # the root's slope at 0 has no bound

    monkeypatch.setattr(loop, "Loss", Rooted)
    with pytest.raises(RunError, match=r"the gradient's norm is (nan|inf) at step 1: lower learning_rate"):
        small.run(tmp_path, save_freq=1)
    assert not list(tmp_path.glob("checkpoint-*"))


def test_teacher_without_encoder_weight_is_refused(tmp_path):
    with pytest.raises(InputError, match="nothing else trains the encoder"):
        small.run(tmp_path, teacher="somewhere", encoder_weight=0.0)


def test_device_that_is_not_there_is_refused(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(RunError, match="device is cuda but this machine"):
        small.run(tmp_path, device="cuda")


def test_run_that_cannot_fit_is_refused_before_it_starts(tmp_path):
    with pytest.raises(
        RunError, match=r"a step needs about .* GiB of memory but .* GiB is free: lower batch_size"
    ):
        small.run(tmp_path / "out", batch_size=65_536)
    assert not (tmp_path / "out").exists()


def test_activations_are_counted_without_computing():
    """Of shapes alone as of numbers; gradient checkpointing keeps less; twice the batch is twice as much."""
    x = torch.rand(1, 5, 3, 32, 32)
    counted = memory.activations(TAEHV(), x)
    with torch.device("meta"):
        shapes = TAEHV()
        twice = torch.empty(2, 5, 3, 32, 32)
    of_weights = memory.activations(shapes, torch.empty(1, 5, 3, 32, 32, device="meta"))
    assert of_weights == counted
    assert memory.activations(TAEHV(gradient_checkpointing=True), x) < counted
    assert 1.8 * of_weights < memory.activations(shapes, twice) <= 2 * of_weights  # weights are kept once


def test_a_group_of_one_waits_for_nobody(tmp_path):
    ALONE.wait()
    ALONE.check_shared(tmp_path)
    assert ALONE.tell("x") == "x"
    assert list(tmp_path.iterdir()) == []


# A teacher


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> str:
    return small.teacher(tmp_path_factory.mktemp("teacher"))


@pytest.mark.integration
def test_the_encoder_learns_the_teachers_latents(tmp_path, teacher):
    result = small.run(
        tmp_path, teacher=teacher, max_steps=20, learning_rate=5e-3, seraena_weight=1.0, seraena_crop=16
    )
    losses = [record["encoder"] for record in result["history"] if "encoder" in record]
    assert len(losses) == 20
    assert losses[-1] < losses[0]
    assert all({"recon", "encoder", "seraena"} <= record.keys() for record in result["history"][1:])


def test_the_decoder_gets_the_teachers_latents(tmp_path, teacher, monkeypatch):
    given = []
    forward = TAEHV.forward

    def recorded(self, x, latents=None):
        if self.training and x.device.type == "cpu":  # not when memory is estimated
            given.append(latents)
        return forward(self, x, latents)

    monkeypatch.setattr(TAEHV, "forward", recorded)
    small.run(tmp_path / "with", teacher=teacher, max_steps=2)
    assert [tuple(z.shape) for z in given] == [(2, 2, 16, 4, 4)] * 2
    assert not any(z.requires_grad for z in given)
    given.clear()
    small.run(tmp_path / "without", max_steps=2)
    assert given == [None, None]


def test_cached_views_ask_the_teacher_once_for_each(tmp_path, teacher, monkeypatch):
    asked = small.asked(monkeypatch)
    run = {"teacher": teacher, "cached_views": 1, "max_steps": 6}  # 12 samples of 4 clips
    result = small.run(tmp_path / "cached", **run)
    assert sum(asked) == 4
    assert len(list((tmp_path / "cached/latents").rglob("*.safetensors"))) == 4
    again = small.run(tmp_path / "again", **run)
    assert [r["loss"] for r in result["history"][1:]] == [r["loss"] for r in again["history"][1:]]


def test_frames_of_a_replaced_clip_are_not_taken_for_cached_ones(tmp_path, teacher):
    p = small.pick(TrainParams, teacher=teacher, cached_views=1)
    clips = small.annotation().train
    taught = targets.Targets(p, clips, TAEHV(), tmp_path, CPU)
    x = torch.rand(2, 5, 3, 32, 32)
    taught.of(x, torch.tensor([0, -1]))
    stored = [path.stem for path in tmp_path.rglob("*.safetensors")]
    assert stored == ["00000000"]


def test_latents_are_kept_for_the_next_run_until_a_file_changes(tmp_path, teacher, monkeypatch):
    asked = small.asked(monkeypatch)
    clips = shutil.copytree(small.videos(), tmp_path / "clips")
    found = annotate(small.pick(AnnotateParams, data_dir=str(clips)))

    def asks(name: str, **changes) -> int:
        asked.clear()
        settings = small.pick(TrainParams, teacher=teacher, cached_views=1, max_steps=2, **changes)
        compute = small.pick(ComputeParams)
        train(settings, found, tmp_path / name, compute=compute, latents=tmp_path / "latents")
        return sum(asked)

    assert asks("first") == 4
    assert asks("second", learning_rate=1e-5) == 0
    assert asks("third", seed=9) == 4  # other samples
    found.train[2].path.touch()
    assert asks("fourth", seed=9) == 0
    shutil.copy(found.val[0].path, found.train[2].path)  # as long and as large
    assert asks("fifth", seed=9) == 4
    moved = [dataclasses.replace(clip, path=tmp_path / "moved" / clip.path.name) for clip in found.train]
    found.train[0].path.parent.rename(tmp_path / "moved")
    found = dataclasses.replace(found, train=tuple(moved), val=tuple(moved[:1]))
    assert asks("sixth", seed=9) == 0
    for module in (dataset, video, teacher_module, latents):
        changed = tmp_path / Path(module.__file__).name
        changed.write_text(Path(module.__file__).read_text() + "# changed\n")
        monkeypatch.setattr(module, "__file__", str(changed))
        assert asks(f"after {changed.name}", seed=9) == 4


def test_teacher_of_another_variant_is_refused(tmp_path, teacher, monkeypatch):
    monkeypatch.setattr(model, "WIDTH", 24)  # for the colours of 2 x 2 pixels
    monkeypatch.setattr(model, "DECODER_WIDTHS", (24, 24, 24, 24))
    with pytest.raises(InputError, match="choose a teacher and a variant that agree"):
        small.run(tmp_path, teacher=teacher, variant="taehv1_5")
