"""The commands: videos of any length and size through the model, latents to and from files, and what goes wrong."""

import argparse
import json
import resource
import subprocess
import sys

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

from runs import InputError
from taehv import commands, export, figures, metrics, stream, weights
from taehv.latent_file import LatentReader
from taehv.model import TAEHV

pytest.importorskip("av", reason="PyAV reads and writes the videos")

from taehv import video

TAEHV_COMMAND = (sys.executable, "-c", "from taehv.cli import main; main()")


def moving(frames, height, width):
    """A smooth picture that moves: uint8 (T, H, W, 3)."""
    y, x, t = np.ogrid[:height, :width, :frames]
    shades = [127 + 120 * np.sin(0.2 * (x + t * k) + 0.15 * k * y) for k in (1, 2, 3)]
    return np.stack(shades, -1).round().astype(np.uint8).transpose(2, 0, 1, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Weights of two variants and two clips: 32x48 of 10 frames, and 30x46 of 13 frames at another rate."""
    folder = tmp_path_factory.mktemp("commands")
    for variant in ("taecvx", "taew2_2"):
        torch.manual_seed(0)
        weights.save(TAEHV(variant), folder / f"{variant}.safetensors")
    for name, frames, height, width, fps in (("even", 10, 32, 48, 25.0), ("odd", 13, 30, 46, 12.5)):
        with video.Writer(folder / f"{name}.mp4", fps, height, width) as writer:
            for frame in moving(frames, height, width):
                writer.write(frame)
    return folder


@pytest.fixture
def taehv(folder, monkeypatch):
    """Runs a command line in this process in float32, with taecvx's weights unless it names others."""
    monkeypatch.chdir(folder)
    parser = argparse.ArgumentParser()
    commands.add(parser.add_subparsers(required=True))

    def run(*line):
        line = [str(part) for part in line]
        if line[0] != "bench" and "--weights" not in line:
            line += ["--weights", "taecvx.safetensors"]
        if line[0] != "bench":
            line += ["--amp", "off"]
        args = parser.parse_args(line)
        args.handler(args)

    return run


def read(path):
    return np.stack(list(video.frames(path)))


def written(monkeypatch):
    """What the commands hand to video.Writer, before H.264."""
    frames = []
    original = video.Writer.write
    monkeypatch.setattr(
        video.Writer, "write", lambda self, frame: (frames.append(frame.copy()), original(self, frame))
    )
    return frames


def test_a_reconstruction_is_the_models_with_all_frames_and_the_same_rate(
    taehv, folder, tmp_path, monkeypatch, capsys
):
    frames = written(monkeypatch)
    out = tmp_path / "deep" / "folder" / "out.mp4"
    taehv("reconstruct", "even.mp4", out)
    probe = video.probe(out)
    assert (probe.frames, probe.fps, probe.height, probe.width) == (10, 25.0, 32, 48)
    x = torch.from_numpy(read(folder / "even.mp4")).permute(0, 3, 1, 2)[None] / 255
    model = weights.read(folder / "taecvx.safetensors")
    with torch.inference_mode():
        expected = model.decode(model.encode(torch.cat([x, x[:, -1:].expand(-1, 3, -1, -1, -1)], 1)))[:, :10]
    made = stream.to_model(np.stack(frames), torch.device("cpu"))
    assert (made - expected.clamp(0, 1)).abs().max() <= 0.6 / 255
    psnr = metrics.psnr(made, x).mean().item()
    said = capsys.readouterr().out
    assert f"PSNR {psnr:.2f} dB (mean)" in said
    assert "\n" not in said.strip()


def test_odd_sizes_are_padded_for_the_model_and_cut_back(taehv, tmp_path, monkeypatch):
    frames = written(monkeypatch)
    taehv("reconstruct", "odd.mp4", tmp_path / "even_sides.mp4")
    assert {frame.shape for frame in frames} == {(30, 46, 3)}
    assert len(frames) == 13
    frames.clear()
    taehv("reconstruct", "odd.mp4", tmp_path / "out.mp4", "--height", 21, "--width", 35)
    assert {frame.shape for frame in frames} == {(22, 36, 3)}  # H.264 wants even sides
    probe = video.probe(tmp_path / "out.mp4")
    assert (probe.height, probe.width, probe.fps) == (22, 36, 12.5)


def test_one_side_keeps_the_proportions(taehv, tmp_path):
    taehv("reconstruct", "even.mp4", tmp_path / "out.mp4", "--height", 16)
    probe = video.probe(tmp_path / "out.mp4")
    assert (probe.height, probe.width) == (16, 24)


def test_the_padding_repeats_the_edge():
    frame = moving(1, 9, 10)[0]
    padded = commands.pad(frame, 8)
    assert padded.shape == (16, 16, 3)
    np.testing.assert_array_equal(padded[:9, :10], frame)
    np.testing.assert_array_equal(padded[9:, :10], np.repeat(frame[-1:], 7, 0))
    np.testing.assert_array_equal(padded[:9, 10:], np.repeat(frame[:, -1:], 6, 1))
    assert commands.pad(padded, 8) is padded


def test_compare_puts_input_reconstruction_and_error_abreast(taehv, folder, tmp_path, monkeypatch):
    frames = written(monkeypatch)
    taehv("reconstruct", "odd.mp4", tmp_path / "out.mp4", "--compare")
    plain = list(frames)
    frames.clear()
    taehv("reconstruct", "odd.mp4", tmp_path / "out2.mp4")
    source = read(folder / "odd.mp4")
    for abreast, made, frame in zip(plain, frames, source, strict=True):
        np.testing.assert_array_equal(abreast, figures.side_by_side(frame, made))


@pytest.mark.parametrize("clip", ["even", "odd"])
@pytest.mark.parametrize("variant", ["taecvx", "taew2_2"])
def test_decode_of_encode_is_reconstruct(taehv, tmp_path, monkeypatch, clip, variant):
    frames = written(monkeypatch)
    given = ("--weights", f"{variant}.safetensors")
    taehv("reconstruct", f"{clip}.mp4", tmp_path / "out.mp4", *given)
    expected = list(frames)
    frames.clear()
    taehv("encode", f"{clip}.mp4", tmp_path / "sub" / "z.safetensors", *given)
    taehv("decode", tmp_path / "sub" / "z.safetensors", tmp_path / "back.mp4", *given)
    difference = np.abs(np.stack(frames).astype(int) - np.stack(expected))
    assert difference.max() <= 1  # rounding to 8 bits
    assert difference.mean() < 0.01
    assert video.probe(tmp_path / "back.mp4").fps == video.probe(tmp_path / "out.mp4").fps


def test_the_file_of_latents_says_what_they_are(taehv, folder, tmp_path):
    taehv("encode", "odd.mp4", tmp_path / "z.safetensors")
    with safetensors.safe_open(tmp_path / "z.safetensors", "pt") as file:
        assert file.metadata() == {
            "variant": "taecvx",
            "scale": "none",
            "frames": "13",
            "height": "30",
            "width": "46",
            "fps": "12.5",
        }
    latents = safetensors.torch.load_file(tmp_path / "z.safetensors")["latents"]
    model = weights.read(folder / "taecvx.safetensors")
    frames = np.stack([commands.pad(frame, 8) for frame in video.frames(folder / "odd.mp4")])
    with torch.inference_mode():
        expected = model.encode(stream.to_model(frames, torch.device("cpu")))[0]
    assert latents.shape == (4, 16, 4, 6)  # 13 frames: nothing is repeated but to fill the last latent
    torch.testing.assert_close(latents, expected, atol=1e-5, rtol=0)


def test_the_card_beside_the_weights_gives_the_scale(taehv, folder, tmp_path):
    exported = tmp_path / export.WEIGHTS
    exported.write_bytes((folder / "taecvx.safetensors").read_bytes())
    (tmp_path / export.CARD).write_text(json.dumps({"variant": "taecvx", "latent_scale": 1.5}))
    taehv("encode", "even.mp4", tmp_path / "z.safetensors", "--weights", exported)
    assert LatentReader(tmp_path / "z.safetensors").header.scale == 1.5
    (tmp_path / export.CARD).write_text(json.dumps({"variant": "taecvx", "latent_scale": 1.25}))
    with pytest.raises(InputError, match=r"scale 1\.5 but the weights are of scale 1\.25"):
        taehv("decode", tmp_path / "z.safetensors", tmp_path / "out.mp4", "--weights", exported)


def fails(taehv, output, *line, match):
    """The command raises InputError of one sentence and leaves the output's folder as it was."""
    before = sorted(output.parent.iterdir())
    with pytest.raises(InputError, match=match) as error:
        taehv(*line)
    assert "\n" not in str(error.value)
    assert sorted(output.parent.iterdir()) == before


@pytest.mark.parametrize("command", ["reconstruct", "encode"])
def test_clips_that_are_none(taehv, folder, tmp_path, command):
    out = tmp_path / ("out.mp4" if command == "reconstruct" else "z.safetensors")
    text = tmp_path / "text.mp4"
    text.write_text("no video at all")
    fails(taehv, out, command, text, out, match=r"text\.mp4")
    fails(taehv, out, command, tmp_path / "absent.mp4", out, match=r"absent\.mp4")
    truncated = tmp_path / "truncated.mp4"
    content = (folder / "even.mp4").read_bytes()
    truncated.write_bytes(content[: len(content) // 2])
    fails(taehv, out, command, truncated, out, match=r"truncated\.mp4")
    empty = tmp_path / "empty.mp4"
    with pytest.raises(KeyboardInterrupt), video.Writer(empty, 25, 32, 48):
        raise KeyboardInterrupt  # the writer leaves nothing, so make a container without frames by hand
    container_without_frames(empty)
    fails(taehv, out, command, empty, out, match=r"empty\.mp4")


def container_without_frames(path):
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        container.start_encoding()


def test_a_clip_that_breaks_off_leaves_no_output(taehv, tmp_path, monkeypatch):
    def frames(path):
        yield from moving(9, 32, 48)
        raise video.UnreadableVideo(f"{path} is damaged")

    monkeypatch.setattr(video, "frames", frames)
    for command, out in (("reconstruct", tmp_path / "out.mp4"), ("encode", tmp_path / "z.safetensors")):
        fails(taehv, out, command, "even.mp4", out, match="is damaged")


def test_an_output_that_was_there_survives_a_failure(taehv, tmp_path):
    out = tmp_path / "out.mp4"
    out.write_text("precious")
    with pytest.raises(InputError):
        taehv("reconstruct", tmp_path / "absent.mp4", out)
    assert out.read_text() == "precious"


def test_weights_that_are_none(taehv, tmp_path):
    out = tmp_path / "out.mp4"
    line = ("reconstruct", "even.mp4", out, "--weights")
    fails(taehv, out, *line, tmp_path / "absent.pth", match=r"there is no .*absent\.pth: check --weights")
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_text("text")
    fails(taehv, out, *line, damaged, match=r"damaged\.safetensors")
    fails(taehv, out, *line, "taew2_2.safetensors", "--variant", "taehv", match="taehv")


def test_latents_that_do_not_fit(taehv, tmp_path):
    latents, out = tmp_path / "z.safetensors", tmp_path / "out.mp4"
    taehv("encode", "even.mp4", latents)
    other = ("--weights", "taew2_2.safetensors")
    fails(taehv, out, "decode", latents, out, *other, match="of taecvx but the weights are of taew2_2")
    content = latents.read_bytes()
    for length in (len(content) - 100, 500, 0):
        latents.write_bytes(content[:length])
        fails(taehv, out, "decode", latents, out, match=r"z\.safetensors is damaged")
    latents.unlink()
    fails(taehv, out, "decode", latents, out, match="make it with `taehv encode`")
    fails(taehv, out, "decode", "taecvx.safetensors", out, match="has no header of latents")
    facts = {"variant": "taecvx", "scale": "none", "frames": "10", "height": "32", "width": "48", "fps": "25"}
    tensor = torch.zeros(4, 16, 4, 6)
    for changes, shape, match in (
        ({"frames": "18"}, tensor, "18 frames of 32x48 need"),
        ({"frames": "-1"}, tensor, "impossible"),
        ({"fps": "nan"}, tensor, "impossible"),
        ({"width": "wide"}, tensor, "no header"),
        ({}, tensor[:, :8], "need"),
    ):
        safetensors.torch.save_file({"latents": shape.clone()}, latents, facts | changes)
        fails(taehv, out, "decode", latents, out, match=match)
    safetensors.torch.save_file({"z": tensor}, latents, facts)
    fails(taehv, out, "decode", latents, out, match="no tensor 'latents'")


def test_names_of_outputs_are_checked_before_anything_is_computed(taehv, tmp_path, monkeypatch):
    monkeypatch.setattr(stream.Encoder, "push", None)
    fails(taehv, tmp_path / "x", "encode", "even.mp4", tmp_path / "z.bin", match=r"must end in \.safetensors")
    fails(taehv, tmp_path / "x", "reconstruct", "even.mp4", tmp_path / "out.txt", match="must end in")


@pytest.mark.integration
@pytest.mark.parametrize(("command", "out"), [("reconstruct", "out.mp4"), ("encode", "z.safetensors")])
def test_a_refused_write_is_one_line_and_leaves_nothing(folder, tmp_path, command, out):
    done = subprocess.run(
        [*TAEHV_COMMAND, command, "even.mp4", str(tmp_path / out), "--weights", "taecvx.safetensors"],
        cwd=folder,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600)),
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.integration
def test_an_error_is_one_line_and_status_1(folder, tmp_path):
    done = subprocess.run(
        [*TAEHV_COMMAND, "reconstruct", "absent.mp4", str(tmp_path / "out.mp4")],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    how = "run `dvc repro` in video/, or give --weights"
    assert done.stderr == f"error: there is no video/models/export/taehv.safetensors: {how}\n"


def test_frames_held_do_not_grow_with_the_length(taehv, tmp_path, monkeypatch):
    monkeypatch.setattr(video, "frames", lambda path: iter(np.repeat(moving(1, 16, 16), 200, 0)))
    lengths = []
    monkeypatch.setattr(commands, "deque", lambda: Watched(lengths))
    taehv("reconstruct", "even.mp4", tmp_path / "out.mp4", "--height", 16, "--width", 16)
    assert len(lengths) == 200
    assert max(lengths) <= 2 * stream.CHUNK


class Watched(list):
    """A deque that notes its lengths."""

    def __init__(self, lengths):
        super().__init__()
        self.lengths = lengths

    def append(self, frame):
        super().append(frame)
        self.lengths.append(len(self))

    def popleft(self):
        return self.pop(0)


def test_bench_prints_a_table_or_json(taehv, capsys):
    taehv("bench", "--sizes", "16x32", "32x32", "--frames", 4, "--device", "cpu")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("taecvx on ")
    assert "encode_fps" in lines[1]
    assert [line.split()[0] for line in lines[2:]] == ["16x32", "32x32"]
    assert {len(line) for line in lines[1:]} == {len(lines[1])}
    taehv("bench", "--sizes", "16x32", "--frames", 4, "--device", "cpu", "--json")
    report = json.loads(capsys.readouterr().out)
    row = report["sizes"][0]
    assert (row["height"], row["width"], row["frames"]) == (16, 32, 4)
    assert row["encode_fps"] > 0
    assert row["decode_fps"] > 0
    with pytest.raises(InputError, match="size 20x32 must be of multiples of 8"):
        taehv("bench", "--sizes", "20x32")
    with pytest.raises(InputError, match="frames is 3"):
        taehv("bench", "--sizes", "16x32", "--frames", 3)


@pytest.mark.parametrize("bad", ["480", "0x16", "axb", "16x"])
def test_a_size_that_is_none_is_said(taehv, bad, capsys):
    with pytest.raises(SystemExit):
        taehv("bench", "--sizes", bad)
    assert "must be HEIGHTxWIDTH" in capsys.readouterr().err
