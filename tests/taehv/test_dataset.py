"""Samples: the right frames of the right files, whatever the number of workers, processes and interruptions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from filmed import clip, film, moving, settings

from runs import InputError, RunError
from taehv import dataset, video
from taehv.annotate import annotate
from taehv.dataset import (
    BadShare,
    Batches,
    Sample,
    Samples,
    centre,
    draw,
    indices,
    loader,
    resize,
    shape,
    validation,
)
from taehv.params import AnnotateParams, TrainParams
from taehv.video import UnreadableVideo


def training(**changes):
    values = {
        "height": 32,
        "width": 48,
        "n_frames": 4,
        "workers": 0,
        "batch_size": 2,
        "accumulation_steps": 2,
    }
    return settings(TrainParams, **(values | changes))


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Seven clips of 30 frames, 48 x 64, that differ in colour."""
    root = tmp_path_factory.mktemp("videos")
    return [clip(film(root / f"{k}.mp4", moving(30, seed=k))) for k in range(7)]


def effective(clips, params, step, count):
    """The samples of one optimiser step, over `count` processes, by their numbers."""
    found = {}
    for rank in range(count):
        mine = replace(params, batch_size=params.batch_size // count)
        bad = BadShare(0)
        for batch in Batches(Samples(clips, mine), indices(mine, range(step, step + 1), rank, count), bad):
            assert not set(batch.number.tolist()) & set(found)
            found |= dict(zip(batch.number.tolist(), batch.frames, strict=True))
    return found


def test_a_sample_follows_from_the_seed_and_its_number_alone(videos):
    params = training()
    first, again = Samples(videos, params), Samples(videos, params)
    numbers = [0, 13, 5, 13, 700]
    there = {number: first[number].frames for number in numbers}
    for number in reversed(numbers):
        assert torch.equal(again[number].frames, there[number])
    assert not torch.equal(there[0], there[5])
    assert not torch.equal(Samples(videos, replace(params, seed=1))[5].frames, there[5])


def test_batches_do_not_depend_on_the_workers(videos):
    alone, shared = (list(loader(videos, training(workers=workers), range(3))) for workers in (0, 2))
    assert len(alone) == len(shared) == 3 * 2
    assert all(torch.equal(a, b) for a, b in zip(alone, shared, strict=True))
    assert alone[0].shape == (2, 4, 3, 32, 48)
    assert alone[0].dtype == torch.uint8


@pytest.mark.parametrize("count", [2, 4])
def test_processes_share_out_the_batch_of_one(videos, count):
    params = training(batch_size=4, accumulation_steps=2)
    for step in (0, 3):
        one, several = effective(videos, params, step, 1), effective(videos, params, step, count)
        assert sorted(one) == sorted(several) == list(range(8 * step, 8 * step + 8))
        assert all(torch.equal(one[number], several[number]) for number in one)


def test_resuming_at_a_step_goes_on_where_it_was(videos):
    params = training()
    through = list(loader(videos, params, range(5), 1, 2))
    resumed = list(loader(videos, params, range(3, 5), 1, 2))
    assert len(through) == 10
    assert all(torch.equal(a, b) for a, b in zip(through[6:], resumed, strict=True))


def test_a_pass_over_the_clips_sees_each_once(videos):
    samples = Samples(videos, training())
    for epoch in range(3):
        order = [samples._clip(epoch * 7 + k).path.name for k in range(7)]
        assert sorted(order) == sorted(one.path.name for one in videos)
    assert len({tuple(samples._clip(e * 7 + k).path.name for k in range(7)) for e in range(5)}) > 1


def test_cached_views_come_again(videos):
    samples = Samples(videos, training(cached_views=3, teacher="some/teacher"))
    assert [samples[k].number for k in (0, 20, 21, 45)] == [0, 20, 0, 3]
    assert torch.equal(samples[4].frames, samples[4 + 3 * 7].frames)
    assert not torch.equal(samples[4].frames, samples[4 + 7].frames)  # another view


def test_height_and_width_are_both_honoured(tmp_path):
    """480 x 720 is no square, and what is round stays round."""
    y, x = np.mgrid[:96, :192]
    disc = np.hypot(x - 96, y - 48) < 24
    frames = np.repeat((255 * disc).astype(np.uint8)[None, ..., None], 8, 0).repeat(3, -1)
    wide = clip(film(tmp_path / "wide.mp4", frames), 8, 96, 192)
    params = training(height=480, width=720, min_scale=1.0, flip=False)
    batch = next(iter(loader([wide], params, range(1))))
    assert batch.shape == (2, 4, 3, 480, 720)
    for shown in [batch[0, 0], validation([wide], params, 480, 720, 4)[0][0]]:
        bright = shown.float().mean(0) > 128
        high, broad = bright.any(1).sum().item(), bright.any(0).sum().item()
        assert high == pytest.approx(240, abs=8)  # 48 of 96 px, five times larger
        assert broad == pytest.approx(high, abs=8)


@pytest.mark.parametrize(("height", "width"), [(480, 720), (720, 480), (128, 128), (256, 384)])
@pytest.mark.parametrize("source", [(360, 640), (1081, 607), (500, 500), (90, 91)])
def test_windows_have_the_right_proportions_and_lie_inside(height, width, source):
    params = training(height=height, width=width, min_scale=0.5)
    one = clip("a.mp4", 40, *source, first=5, stop=35)
    rng = np.random.default_rng(0)
    windows = [draw(one, params, rng) for _ in range(200)]
    for window in windows:
        assert window.height / window.width == pytest.approx(
            height / width, rel=1 / min(window.height, window.width)
        )
        assert 0 <= window.top <= source[0] - window.height
        assert 0 <= window.left <= source[1] - window.width
        assert one.first <= window.first
        assert window.first + 3 * window.delta < one.stop
    largest = shape(*source, height, width)
    assert max(window.height for window in windows) >= 0.95 * largest[0]
    assert min(window.height for window in windows) <= 0.55 * largest[0]
    assert 0.3 < np.mean([window.flip for window in windows]) < 0.7
    assert {window.delta for window in windows} == {1, 2, 3, 4, 5}
    assert min(window.first for window in windows) == 5
    assert max(window.first + 3 * window.delta for window in windows) == 34


def test_a_short_clip_limits_the_distance_between_frames():
    one = clip("a.mp4", 30, first=10, stop=22)  # 12 frames
    rng = np.random.default_rng(0)
    assert {draw(one, training(n_frames=4), rng).delta for _ in range(60)} == {1, 2, 3}
    assert {draw(one, training(n_frames=12), rng)[:2] for _ in range(20)} == {(10, 1)}
    assert {draw(one, training(n_frames=1), rng).delta for _ in range(100)} == {1, 2, 3, 4, 5}
    with pytest.raises(UnreadableVideo, match=r"a\.mp4 has 12 frames to train on, n_frames is 13"):
        draw(one, training(n_frames=13), rng)


def test_the_window_that_is_trained_on_is_part_of_the_frame():
    """A crop of 16 x 24 out of 32 x 48 shows half of each side, at the frame's scale."""
    rng = np.random.default_rng(0)
    params = training(min_scale=1.0, crop_height=16, crop_width=24)
    windows = [draw(clip("a.mp4", 30, 64, 96), params, rng) for _ in range(100)]
    assert {window[4:6] for window in windows} == {(32, 48)}
    assert min(window.top for window in windows) < 3
    assert max(window.top for window in windows) > 29


def test_pixels_at_their_own_scale_are_left_alone(videos):
    params = training(height=48, width=64, min_scale=1.0, flip=False, max_frame_delta=1)
    rng = np.random.default_rng((params.seed, 3))
    sample = Samples(videos, params)[3]
    one = Samples(videos, params)._clip(3)
    expected = video.read(one.path, draw(one, params, rng).first, 4, 1)
    np.testing.assert_array_equal(sample.frames.permute(0, 2, 3, 1), expected)


def test_mirroring_is_of_the_width(videos):
    plain, params = training(flip=False), training()
    samples = [(Samples(videos, plain)[k].frames, Samples(videos, params)[k].frames) for k in range(12)]
    mirrored = [torch.equal(a.flip(-1), b) for a, b in samples]
    assert 2 < sum(mirrored) < 10
    assert all(torch.equal(a, b) for (a, b), flipped in zip(samples, mirrored, strict=True) if not flipped)


def test_resizing_averages_what_it_makes_smaller():
    pixels = np.zeros((2, 32, 32, 3), np.uint8)
    pixels[:, ::2] = 200  # lines that plain bilinear sampling would keep or lose
    small = resize(pixels, 4, 4)[:, :, 1:-1]
    assert (small.float() - 100).abs().max() <= 10
    assert resize(pixels, 16, 8).shape == (2, 3, 16, 8)


def spoilt(videos, tmp_path, count):
    """The clips, of which `count` are no videos any more."""
    bad = []
    for number in range(count):
        (tmp_path / f"bad_{number}.mp4").write_text("spoilt")
        bad.append(replace(videos[number], path=tmp_path / f"bad_{number}.mp4"))
    return bad + videos[count:]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_file_is_replaced_counted_and_reported_once(videos, tmp_path, capsys, workers):
    clips, params = spoilt(videos, tmp_path, 1), training(max_bad_share=0.5, workers=workers)
    counted = BadShare(0.5)
    batches = list(Batches(Samples(clips, params), indices(params, range(7), 0, 1), counted))
    assert counted.seen == 28
    assert counted.bad == 4  # one in each pass over seven clips, replaced by a good one
    assert [frames.shape for frames in loader(clips, params, range(7))] == [(2, 4, 3, 32, 48)] * 14
    numbers = torch.cat([batch.number for batch in batches]).tolist()
    assert [k for k, number in enumerate(numbers) if number == -1] == [
        k for k in range(28) if Samples(clips, params)[k].bad
    ]
    for number, batch in enumerate(batches):  # nothing that another way of loading would have made otherwise
        assert torch.equal(batch.frames[1], Samples(clips, params)[2 * number + 1].frames)
    said = capsys.readouterr().err
    assert said.count("replaced by another clip") == 2  # once by each of the two loaders above
    assert "bad_0.mp4 cannot be decoded" in said


def test_too_many_bad_files_stop_the_run_with_one_sentence(videos, tmp_path):
    clips, params = spoilt(videos, tmp_path, 3), training(max_bad_share=0.05, workers=1)
    with pytest.raises(
        RunError, match=r"could not be read, more than max_bad_share 0\.05; the last because"
    ) as raised:
        list(loader(clips, params, range(200)))
    assert "\n" not in str(raised.value)
    assert ".mp4 cannot be decoded: Invalid data" in str(raised.value)


def test_the_share_is_of_a_hundred_samples_at_least():
    def batch(*bad):
        return Sample(
            torch.zeros(len(bad)), torch.arange(len(bad)), torch.tensor(bad), ["why" * b for b in bad]
        )

    counted = BadShare(0.02)
    counted.count(batch(0, 1, 1, 0))  # 2 of 4: as if of 100
    with pytest.raises(RunError, match="3 of 6"):
        counted.count(batch(1, 0))
    counted = BadShare(0.02)
    counted.count(batch(*[0] * 298, 1, 1, 1))  # 3 of 301
    with pytest.raises(RunError, match="1 of 2 samples"):
        BadShare(0).count(batch(0, 1))


@pytest.mark.parametrize("workers", [0, 1])
def test_when_nothing_can_be_read_the_reason_is_told(videos, tmp_path, workers):
    params = training(workers=workers, max_bad_share=0.9)
    with pytest.raises(
        UnreadableVideo, match=r"^8 clips in a row could not be read, the last because /\S+ "
    ) as raised:
        list(loader(spoilt(videos, tmp_path, 7), params, range(2)))
    assert "\n" not in str(raised.value)
    with pytest.raises(InputError, match="there is no clip to train on"):
        Samples([], params)


@pytest.mark.parametrize("workers", [0, 1])
def test_other_errors_are_not_taken_for_bad_files(videos, monkeypatch, workers):
    def broken(*args):
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(video, "read", broken)
    with pytest.raises(ZeroDivisionError, match="a fault of ours"):
        list(loader(videos, training(workers=workers), range(1)))


def test_a_file_that_changed_since_it_was_annotated_is_bad(videos, tmp_path):
    other = replace(videos[0], path=film(tmp_path / "other.mp4", moving(30, 64, 64)))
    with pytest.raises(UnreadableVideo, match="has changed since it was annotated"):
        Samples([other], training())[0]


def test_a_thousand_steps_need_no_list_of_all_samples(videos):
    """A step's numbers are made when it comes."""
    made = indices(training(), range(10**15), 0, 1)
    assert next(made) == [0, 1]
    assert next(made) == [2, 3]
    batches = loader(videos, training(), range(10**15))
    assert next(batches).shape[0] == 2


def test_validation_sees_the_middle_of_held_out_frames_as_they_are(videos):
    params = training(val_clips=2)
    found = validation([replace(videos[3], first=10), videos[5], videos[6]], params, 48, 48, 6)
    assert [frames.shape for frames in found] == [(6, 3, 48, 48)] * 2
    expected = video.read(videos[3].path, 10, 6)[:, :, 8:56]
    np.testing.assert_array_equal(found[0].permute(0, 2, 3, 1), expected)
    assert torch.equal(found[1], centre(video.read(videos[5].path, 0, 6), 48, 48))


def test_validation_of_a_short_clip_and_of_a_bad_one(videos, tmp_path, capsys):
    params = training(val_clips=2)
    clips = [*spoilt(videos, tmp_path, 1)[:2], replace(videos[2], first=25)]
    assert [len(frames) for frames in validation(clips, params, 48, 64, 9)] == [9, 5]
    assert "held-out clip left out" in capsys.readouterr().err
    with pytest.raises(InputError, match="none of the 1 held-out clips can be read"):
        validation(clips[:1], params, 48, 64, 9)


@pytest.mark.parametrize("split", ["clips", "tail"])
def test_validation_never_sees_what_was_trained_on(tmp_path, monkeypatch, split):
    """By the frames that are actually read from the files."""
    for number in range(5):
        film(tmp_path / f"{number}.mp4", moving(40, seed=number))
    found = annotate(settings(AnnotateParams, data_dir=str(tmp_path), val_split=split, val_fraction=0.3))
    seen = set()
    read = video.read

    def recording(path, first, count, delta=1):
        seen.update((path, first + delta * k) for k in range(count))
        return read(path, first, count, delta)

    monkeypatch.setattr(dataset.video, "read", recording)
    params = training(n_frames=12)
    for _ in loader(found.train, params, range(15)):
        pass
    trained = set(seen)
    seen.clear()
    validation(found.val, params, 32, 48, 12)
    assert len(trained) > 80
    assert len(seen) == 12 * len(found.val)
    assert not trained & seen
