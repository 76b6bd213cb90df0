"""The built-in clips: the same bytes each time, different scenes, and something to learn in each."""

import numpy as np
import pytest
import torch
from filmed import settings

from runs import InputError
from taehv import clips as clips_of
from taehv import video
from taehv.clips import KINDS, bicubic_psnr, bounced, clips, render
from taehv.params import ClipsParams
from taehv.scenes import disc, one_over_f


def few(**changes):
    return settings(ClipsParams, **({"clips_count": 5, "clips_frames": 9} | changes))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_seed_gives_the_same_bytes(tmp_path, monkeypatch):
    figures = clips(few(), tmp_path / "a")
    monkeypatch.setattr(clips_of, "available_cores", lambda: 1)
    assert clips(few(), tmp_path / "b") == figures
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    clips(few(clips_seed=1), tmp_path / "c")
    other = contents(tmp_path / "c")
    assert all(data != other[name] for name, data in contents(tmp_path / "a").items())


def test_files_depend_on_neither_cores_nor_instructions(tmp_path):
    """libx264 writes its settings into the file."""
    clips(few(clips_frames=1), tmp_path)
    for data in contents(tmp_path).values():
        assert b" threads=1 " in data
        assert b" mbtree=0 " in data


def test_files_hold_what_was_rendered(tmp_path):
    clips(few(height=64, width=96), tmp_path)
    for number, path in enumerate(sorted(tmp_path.iterdir())):
        found = video.probe(path)
        assert (found.frames, found.height, found.width, found.fps) == (9, 64, 96, clips_of.FPS)
        rendered = render(few(height=64, width=96), number)
        error = (np.stack(list(video.frames(path))) / 255 - rendered / 255) ** 2
        assert -10 * np.log10(error.mean()) > 33  # what coding with half the colour's resolution leaves


def test_a_longer_set_begins_with_the_shorter_one():
    np.testing.assert_array_equal(render(few(), 3), render(few(clips_count=40, clips_frames=48), 3)[:9])


@pytest.mark.parametrize("number", range(len(KINDS)))
def test_every_kind_moves(number):
    frames = render(few(clips_frames=25), number).astype(float)
    steps = np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))
    assert steps.min() > 0.3
    assert np.abs(frames[-1] - frames[0]).mean() > 3 * steps.mean() / 2


def test_clips_differ():
    first = [render(few(clips_frames=1), number)[0].astype(float) for number in range(20)]
    for i, a in enumerate(first):
        for b in first[:i]:
            assert np.abs(a - b).mean() > 10


@pytest.mark.integration
def test_downsampling_loses_what_a_network_can_keep(tmp_path):
    """Of the whole set, bicubic resampling by 8 keeps 19 to 21 dB; and x264 finds it far from noise."""
    figures = clips(settings(ClipsParams, clips_frames=24), tmp_path)
    assert figures["clips"] == 40
    assert figures["frames"] == 960
    assert 19 < figures["bicubic_psnr"] < 21
    for kind in KINDS:
        assert 16 < figures[f"bicubic_psnr_{kind}"] < 24
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert 8 * size / (960 * 128 * 128) < 1.0  # bits per pixel; noise takes more than 5 at this quality


def test_bicubic_psnr_of_known_pictures():
    flat = np.full((2, 64, 64, 3), 77, np.uint8)
    assert bicubic_psnr(flat) == pytest.approx(100)
    y, x = np.mgrid[:64, :64]
    checks = np.repeat((255 * ((x + y) % 2)).astype(np.uint8)[None, ..., None], 3, -1)
    assert bicubic_psnr(checks) == pytest.approx(
        -10 * np.log10(0.25), abs=0.3
    )  # a mean of 1/2 is all that is left


def test_noise_has_the_spectrum_it_is_named_after():
    power = np.abs(np.fft.rfft2(one_over_f(np.random.default_rng(0)))) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.rfftfreq(128), indexing="ij"))
    band = (frequency > 0.02) & (frequency < 0.4)
    slope, _ = np.polyfit(np.log(frequency[band]), np.log(power[band]), 1)
    assert slope == pytest.approx(-2 * 1.9, abs=0.15)  # power falls twice as fast as amplitude
    assert one_over_f(np.random.default_rng(0)).std() == pytest.approx(1)


def test_things_turn_back_at_the_walls():
    path = [bounced(position, 1.0) for position in np.arange(-1, 7.01, 0.5)]
    assert path == pytest.approx([-1, -0.5, 0, 0.5, 1, 0.5, 0, -0.5, -1, -0.5, 0, 0.5, 1, 0.5, 0, -0.5, -1])


def test_edges_are_as_wide_as_a_pixel():
    """A disc's cover is that of its area, and all but its rim is covered wholly or not at all."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 201), torch.linspace(-1, 1, 201), indexing="ij")
    distance = disc(x.numpy(), y.numpy(), np.float32(0.5))
    cover = (0.5 - distance / (2 * clips_of.SOFT * 0.01)).clip(0, 1)
    assert cover.sum() * 0.01**2 == pytest.approx(np.pi * 0.25, rel=1e-3)
    assert ((cover > 0) & (cover < 1)).sum() < 2 * np.pi * 50 * 2.5


def test_sides_that_cannot_be_made_eight_times_smaller(tmp_path):
    with pytest.raises(InputError, match="clips are 128x100: both sides must be multiples of 8"):
        clips(few(width=100), tmp_path)
    assert not list(tmp_path.iterdir())
