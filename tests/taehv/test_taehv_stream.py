"""Chunk by chunk is the same as all at once, in memory that does not grow."""

import functools
import mmap
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from plain_video import clip, lively, plain_of

from runs import InputError
from taehv.model import TAEHV
from taehv.speed import measure, memory_held
from taehv.stream import Decoder, Encoder, reconstruct

torch.set_num_threads(1)
CPU = torch.device("cpu")
lively = functools.cache(lively)  # no test changes it


def pushed(coder, x, chunk):
    return [coder.push(part) for part in x.split(chunk, 1)]


@pytest.mark.parametrize("variant", ["taecvx", "taew2_2"])
@pytest.mark.parametrize("frames", [1, 8, 13])
@pytest.mark.parametrize("chunk", [1, 3, 6, 100])
def test_any_chunks_equal_all_at_once(variant, frames, chunk):
    model, x = lively(variant), clip(frames)
    with torch.no_grad():
        z = model.encode(x)
        y = model.decode(z)
    encoder = Encoder(model)
    latents = torch.cat([*pushed(encoder, x, chunk), encoder.finish()], 1)
    torch.testing.assert_close(latents, z, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(torch.cat(pushed(Decoder(model), z, chunk), 1), y, rtol=1e-5, atol=1e-5)


def test_latents_come_as_soon_as_they_are_full():
    encoder = Encoder(lively())
    assert [z.shape[1] for z in pushed(encoder, clip(11), 3)] == [0, 1, 1, 0]
    assert encoder.finish().shape[1] == 1


def test_frames_come_with_their_latent():
    model = lively()
    latents = torch.randn(2, 3, 16, 2, 4)
    assert [y.shape[1] for y in pushed(Decoder(model), latents, 1)] == [1, 4, 4]
    assert Decoder(model).push(latents[:, :0]).shape == (2, 0, 3, 16, 32)


def test_a_whole_last_latent_needs_no_finish():
    encoder = Encoder(lively())
    encoder.push(clip(8))
    assert encoder.finish().shape == (2, 0, 16, 2, 4)


def test_streams_compute_no_gradients_and_leave_the_chunk():
    encoder, x = Encoder(lively()), clip(6)
    kept = x.clone()
    assert not encoder.push(x).requires_grad
    assert torch.equal(x, kept)


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 16, 24, 3), dtype=np.uint8)


@pytest.mark.parametrize("count", [1, 3, 4, 13, 14, 17])
@pytest.mark.parametrize("chunk", [1, 5])
def test_a_reconstruction_has_every_frame(count, chunk):
    """And those that encoding and decoding at once gives, clamped and rounded."""
    model, frames = lively(), pictures(count)
    result = np.stack(list(reconstruct(model, iter(frames), chunk, amp="off")))
    assert result.shape == frames.shape
    assert result.dtype == np.uint8
    x = torch.from_numpy(frames).permute(0, 3, 1, 2)[None].float() / 255
    with torch.no_grad():
        y = plain_of(model).decode(plain_of(model).encode(x))[0].permute(0, 2, 3, 1)
    assert (y < 0).any()
    assert (y > 1).any()
    expected = (y.clamp(0, 1) * 255).numpy()
    assert np.abs(result[: len(expected)] - expected).max() <= 0.51


def test_a_reconstruction_starts_before_the_video_ends():
    video = iter(pictures(40))
    next(reconstruct(lively(), video, 4))
    assert len(list(video)) == 36


def test_no_frames():
    with pytest.raises(InputError, match="has no frames"):
        list(reconstruct(TAEHV(), iter([])))
    with pytest.raises(InputError, match="has no frames"):
        Encoder(TAEHV()).finish()


def test_a_chunk_of_nothing():
    with pytest.raises(InputError, match="chunk is 0"):
        list(reconstruct(TAEHV(), iter(pictures(4)), chunk=0))


def test_frames_of_a_wrong_size():
    with pytest.raises(InputError, match="10x16 but both sides must be multiples of 8"):
        list(reconstruct(TAEHV(), iter(np.zeros((4, 10, 16, 3), np.uint8))))


def test_bf16_moves_no_pixel_far():
    """Where the hardware has no bf16, `auto` computes in float32."""
    torch.manual_seed(0)
    model, frames = TAEHV(), pictures(8)
    with torch.no_grad():
        model.decoder[22].bias.fill_(0.5)
    rounded, exact = (np.stack(list(reconstruct(model, iter(frames), amp=amp))) for amp in ("auto", "off"))
    assert np.abs(rounded.astype(int) - exact).max() <= 2


def test_speed():
    speed = measure(TAEHV(), 16, 24, 10, CPU)
    assert speed["frames"] == 12
    assert {
        "encode_fps",
        "decode_fps",
        "encode_peak_memory_mb",
        "decode_peak_memory_mb",
        "bf16",
    } <= speed.keys()
    assert all(speed[key] > 0 for key in speed.keys() - {"bf16"})


def test_speed_of_too_few_frames():
    with pytest.raises(InputError, match="frames is 3"):
        measure(TAEHV(), 16, 16, 3, CPU)


@pytest.mark.integration
def test_memory_does_not_grow_with_the_video():
    script = (
        "import numpy as np, torch; from taehv.model import TAEHV; from taehv.stream import reconstruct;"
        "from taehv.speed import memory_held; frame = np.full((32, 32, 3), 128, np.uint8); torch.set_num_threads(1)\n"
        "with memory_held(torch.device('cpu')) as held:"
        "    count = sum(1 for _ in reconstruct(TAEHV(), (frame for _ in range({n})), amp='off'))\n"
        "assert count == {n}; print(max(held))"
    )

    def peak(frames: int) -> float:
        """The most memory held (MiB), where the C library gives back at once what is freed."""
        command = [sys.executable, "-c", script.format(n=frames)]
        environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        return float(done.stdout)

    assert peak(300) < peak(50) + 1.5  # frames that were kept would be 2.9 MiB, as float32


def test_memory_held_sees_what_is_freed_again():
    size = 2**20 * 50
    with memory_held(CPU) as held:
        started = held[0]
        with mmap.mmap(-1, size) as block:  # new pages: an array may get some that the process holds already
            for page in range(0, size, mmap.PAGESIZE):
                block[page] = 1
            looked, deadline = len(held), time.monotonic() + 60
            while len(held) < looked + 2 and time.monotonic() < deadline:
                time.sleep(0.01)
    assert max(held[looked:-1]) > started + 40
