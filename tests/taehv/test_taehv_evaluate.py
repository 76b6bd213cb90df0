"""Evaluation of held-out clips: the right frames, aligned, beside the yardsticks; and its pictures."""

import json
import subprocess
import sys

import matplotlib
import matplotlib.image
import numpy as np
import pytest
import torch
import yaml
from filmed import FOLDER
from workspace import ENVIRONMENT

from runs import InputError
from stages.video import evaluate as stage
from taehv import annotations, evaluate, export, figures, metrics, params, stream, video, weights
from taehv.annotations import Annotation, Clip
from taehv.model import FRAMES_TO_TRIM, TAEHV
from taehv.params import EvaluateParams

CPU = torch.device("cpu")
SETTINGS = EvaluateParams(height=32, width=48, eval_frames=9, lpips=False, grid_clips=2)


def moving(frames, height=40, width=64, step=3, seed=0):
    """A random texture that moves to the right: uint8 (T, H, W, 3)."""
    rng = np.random.default_rng(seed)
    texture = np.kron(rng.integers(0, 256, (height // 4, width // 4, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    return np.stack([np.roll(texture, step * t, 1) for t in range(frames)])


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three clips of 14 frames, of which frames 2 to 14 are held out; two of them share a name."""
    pytest.importorskip("av", reason="PyAV writes the clips")
    folder = tmp_path_factory.mktemp("clips")
    made = []
    for i, name in enumerate(("a/x.mp4", "b/x.mp4", "y.mp4")):
        with video.Writer(folder / name, 10, 40, 64) as writer:
            for frame in moving(14, seed=i):
                writer.write(frame)
        made.append(
            Clip(
                path=folder / name,
                frames=14,
                fps=10.0,
                width=64,
                height=40,
                duration_s=1.4,
                first=2,
                stop=14 if i else 8,
            )
        )
    return made


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return TAEHV().eval()


class Copier:
    """Stands for stream.reconstruct: returns its input, `shift` frames late."""

    def __init__(self, shift=0):
        self.shift = shift

    def __call__(self, model, frames, **_):
        frames = list(frames)
        return iter([frames[max(k - self.shift, 0)] for k in range(len(frames))])


def test_a_reconstruction_three_frames_late_scores_lower(clips, model, monkeypatch):
    psnr = {}
    for shift in (0, FRAMES_TO_TRIM):
        monkeypatch.setattr(stream, "reconstruct", Copier(shift))
        result = evaluate.evaluate(model, model, clips, SETTINGS).summary()
        psnr[shift] = result["psnr"]
        assert (result["ssim"] > 0.99) == (shift == 0)
    assert psnr[0] == metrics.PEAK_DB
    assert psnr[FRAMES_TO_TRIM] < 30


def test_frames_of_different_number_are_not_compared():
    frames = torch.zeros(9, 3, 32, 48, dtype=torch.uint8)
    with pytest.raises(ValueError, match="not the same frames"):
        evaluate.compare(frames[None, FRAMES_TO_TRIM:], frames[None])


def test_the_first_held_out_frames_are_taken_from_the_middle_of_the_picture(clips):
    frames = evaluate.held_out(clips[2], SETTINGS)
    assert frames.shape == (9, 3, 32, 48)
    assert frames.dtype == torch.uint8
    assert len(evaluate.held_out(clips[0], SETTINGS)) == 6  # all it has
    whole = torch.from_numpy(moving(14, seed=2)[2:11]).permute(0, 3, 1, 2)
    middle = torch.nn.functional.interpolate(
        whole[..., 2:62], (32, 48), mode="bilinear", antialias=True
    )  # 40x60 has the proportions of 32x48
    assert (
        metrics.psnr(evaluate.unit(frames, CPU), evaluate.unit(middle, CPU)).mean() > 24
    )  # H.264 in between
    shifted = torch.nn.functional.interpolate(whole[..., 4:], (32, 48), mode="bilinear", antialias=True)
    assert metrics.psnr(evaluate.unit(frames, CPU), evaluate.unit(shifted, CPU)).mean() < 20


def test_values_are_those_of_the_model_on_these_frames(clips, model):
    torch.manual_seed(1)
    other = TAEHV().eval()
    torch.nn.init.constant_(other.decoder[-1].bias, 0.5)
    result = evaluate.evaluate(model, other, clips, SETTINGS)
    frames = evaluate.held_out(clips[2], SETTINGS)
    x = evaluate.unit(frames, CPU)
    with torch.inference_mode():
        made, plain = (m.decode(m.encode(x)) for m in (model, other))
    clip = result.scored[2]
    np.testing.assert_allclose(clip.values["psnr"], metrics.psnr(made, x)[0], atol=0.05)  # 8 bits
    np.testing.assert_allclose(clip.values["untrained_psnr"], metrics.psnr(plain, x)[0], atol=0.05)
    np.testing.assert_allclose(clip.values["bicubic_psnr"], metrics.psnr(metrics.bicubic(x), x)[0], rtol=1e-5)
    assert len(clip.values["temporal_psnr"]) == len(clip.values["psnr"]) - 1 == 8


def test_the_summary_is_flat_and_counts_each_clip_once(clips, model):
    result = evaluate.evaluate(model, model, clips, SETTINGS)
    summary = json.loads(json.dumps(result.summary(), allow_nan=False))
    means = [scored.values["psnr"].mean() for scored in result.scored]
    assert summary["psnr"] == pytest.approx(np.mean(means), abs=1e-3)
    assert summary["worst_clip_psnr"] == pytest.approx(min(means), abs=1e-3)
    assert summary["untrained_psnr"] == summary["psnr"]
    assert summary["lpips"] is None
    assert summary["lpips_skipped"] == "lpips is set to false"
    assert (summary["clips"], summary["frames"]) == (3, 6 + 9 + 9)
    assert not any(isinstance(value, dict | list) for value in summary.values())


def test_tables_name_each_clip_and_frame(clips, model):
    result = evaluate.evaluate(model, model, clips, SETTINGS)
    by_clip, by_frame = evaluate.tables(result.scored)
    assert [row["clip"] for row in by_clip] == ["x-0", "x-1", "y"]
    assert [row["frame"] for row in by_frame] == [*range(6), *range(9), *range(9)]
    assert by_frame[8]["psnr"] == pytest.approx(result.scored[1].values["psnr"][2])
    assert [shown.name for shown in result.shown] == ["x-0", "y"]


def test_no_clip_and_a_damaged_clip_are_errors(clips, model, tmp_path):
    with pytest.raises(InputError, match="no held-out clip"):
        evaluate.evaluate(model, model, [], SETTINGS)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_text("text")
    clip = Clip(**{**{n: getattr(clips[0], n) for n in Clip.__dataclass_fields__}, "path": damaged})
    with pytest.raises(InputError, match=r"damaged\.mp4"):
        evaluate.evaluate(model, model, [clip], SETTINGS)


def test_the_colours_of_the_error_are_its_size():
    frame = np.full((8, 8, 3), 100, np.uint8)
    off = frame + np.uint8(round(figures.ERROR_TOP * 255 / 2))
    far = frame + np.uint8(155)
    np.testing.assert_allclose(figures.error(frame, off), figures.ERROR_TOP / 2, atol=0.01)
    for made, place in ((frame, 0.0), (off, 0.5), (far, 1.0)):
        abreast = figures.side_by_side(frame, made)
        assert abreast.shape == (8, 3 * 8 + 2 * figures.GAP, 3)
        np.testing.assert_array_equal(abreast[:, :8], frame)
        np.testing.assert_array_equal(abreast[:, 8 + figures.GAP : 16 + figures.GAP], made)
        colour = np.array(matplotlib.colormaps["inferno"](place)[:3]) * 255
        assert np.abs(abreast[0, -1] - colour).max() <= 4


def test_the_grid_shows_input_reconstruction_and_error(tmp_path):
    frames = np.zeros((9, 32, 48, 3), np.uint8)
    frames[...] = (0, 0, 255)
    made = np.zeros_like(frames)
    made[...] = (0, 160, 0)
    shown = figures.Shown(name="c", fps=10.0, frames=frames, reconstruction=made, psnr=20.0)
    figures.grid(tmp_path / "grid.png", [shown, shown])
    image = (matplotlib.image.imread(tmp_path / "grid.png")[..., :3] * 255).round()
    shares = [(np.abs(image - colour).max(-1) <= 2).mean() for colour in ((0, 0, 255), (0, 160, 0))]
    assert min(shares) > 0.15
    assert shares[0] == pytest.approx(shares[1], rel=0.1)


def test_the_curve_has_a_line_per_clip_and_both_means(tmp_path):
    figures.over_time(
        tmp_path / "psnr.png",
        [np.linspace(20, 25, 9), np.linspace(24, 21, 5)],
        [np.full(9, 18), np.full(5, 19)],
    )
    image = (matplotlib.image.imread(tmp_path / "psnr.png")[..., :3] * 255).round()
    for colour in (figures.MEAN_COLOUR, figures.BICUBIC_COLOUR, figures.CLIP_COLOUR):
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(image - rgb).max(-1) <= 8).any()


def test_the_side_by_side_video_has_all_frames(tmp_path):
    frames = moving(7, 32, 48)
    shown = figures.Shown(name="c", fps=12.5, frames=frames, reconstruction=frames, psnr=20.0)
    figures.abreast(tmp_path / "c.mp4", shown)
    probe = video.probe(tmp_path / "c.mp4")
    assert (probe.frames, probe.fps, probe.height, probe.width) == (7, 12.5, 32, 3 * 48 + 2 * figures.GAP)


@pytest.mark.integration
def test_the_stages_write_metrics_tables_pictures_videos_and_the_model(clips, model, tmp_path):
    tiny = {"height": 32, "width": 48, "eval_frames": 9, "n_frames": 5, "device": "cpu", "grid_clips": 2}
    values = params.preset("test", FOLDER) | tiny
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    weights.save(model, tmp_path / "models/train/best.safetensors")
    annotations.write(
        Annotation(train=tuple(clips), val=tuple(clips), rejected={}), tmp_path / "data/annotation.json"
    )
    history = {"best_step": 3, "history": [{"step": 3, "loss": 1.0, "val_psnr": 20.0}]}
    (tmp_path / "models/train/history.json").write_text(json.dumps(history))
    (tmp_path / "metrics/details").mkdir(parents=True)
    (tmp_path / "metrics/details/train.json").write_text('{"best_step": 3}')
    for name in ("evaluate", "export"):
        done = subprocess.run(
            [sys.executable, "-m", f"stages.video.{name}"],
            cwd=tmp_path,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "metrics/details/evaluate.json").read_text())
    assert (found["clips"], found["frames"]) == (3, 6 + 9 + 9)
    assert found["encode_fps"] > 0
    assert found["psnr"] < found["bicubic_psnr"]  # nobody trained it
    made = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    plots = {f"metrics/plots/{name}" for name in ("clips.csv", "frames.csv", "grid.png", "psnr.png")}
    assert plots <= made
    assert {f"data/reconstructed/{name}.mp4" for name in ("x-0", "y")} <= made
    exported, card = export.read(tmp_path / "models/export")
    assert card["metrics"] == found
    headline = json.loads((tmp_path / "metrics/evaluate.json").read_text())
    assert headline == {name: found[name] for name in stage.HEADLINE if found[name] is not None}
    assert all(isinstance(value, float) for value in headline.values())
    assert card["training"] == {"best_step": 3}
    assert torch.equal(exported.encoder[0].weight, model.encoder[0].weight)
