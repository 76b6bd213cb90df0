"""The discriminator, its replay buffer and its corrections; resumed bit for bit; the same in all processes."""

import copy
import io
from dataclasses import replace

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from filmed import BASE, CPU
from torch import Tensor

from runs import InputError, RunError
from taehv.loss import Loss
from taehv.model import STRIDE, VARIANTS
from taehv.replay import MIB, ReplayBuffer
from taehv.seraena import Discriminator, Seraena

SIDE = 16  # of the crops
PARAMS = replace(BASE, seraena_weight=1.0, seraena_crop=SIDE, seraena_buffer_mb=1)


def seraena(draws: int = 0, channels: int = 16, **changes) -> Seraena:
    return Seraena(channels, replace(PARAMS, **changes), CPU, torch.Generator().manual_seed(draws))


def clips(seed: int = 0, n: int = 2, frames: int = 13, side: int = 32) -> tuple[Tensor, Tensor, Tensor]:
    """Input frames, decoded ones and latents."""
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.rand(n, frames, 3, side, side, generator=generator) for _ in range(2))
    return x, y, torch.randn(n, (frames + 3) // 4, 16, side // 8, side // 8, generator=generator)


def triples(seed: int = 0, m: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Real and decoded crops and their context."""
    generator = torch.Generator().manual_seed(seed)
    real, fake = (torch.rand(m, 9, SIDE, SIDE, generator=generator) for _ in range(2))
    return real, fake, torch.randn(m, 16, SIDE // 8, SIDE // 8, generator=generator)


# discriminator


@pytest.mark.parametrize("variant", VARIANTS)
def test_takes_the_latents_of_every_variant(variant):
    """The fault of the original: built for four channels."""
    channels, factor = VARIANTS[variant].latent_channels, STRIDE * VARIANTS[variant].patch
    adversary = seraena(channels=channels, variant=variant, seraena_crop=32)
    x = torch.rand(1, 5, 3, 64, 96)
    y = torch.rand_like(x).requires_grad_()
    cost = adversary.loss(x, y, torch.randn(1, 2, channels, 64 // factor, 96 // factor))
    cost.backward()
    assert y.grad.abs().sum() > 0


def test_has_the_published_layers():
    network = Discriminator(9, 16)
    shapes = [tuple(block[0].weight.shape) for block in network.blocks]
    assert shapes == [
        (64, 25, 3, 3),
        (128, 64, 4, 4),
        (256, 128, 4, 4),
        (512, 256, 4, 4),
        (512, 512, 3, 3),
        (512, 512, 3, 3),
    ]
    assert [tuple(score.weight.shape) for score in network.scores] == [
        (1, width, 1, 1) for width in (64, 128, 256, 512, 512, 512)
    ]
    assert not [name for name, _ in network.named_parameters() if "bias" in name and "0.bias" in name]
    assert network(torch.rand(2, 9, 32, 48), torch.rand(2, 16, 4, 6)).shape == (2, 6, 4, 6)


def test_sees_images_around_zero_and_each_latent_as_a_square():
    network, seen = Discriminator(9, 16), []
    network.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images, context = torch.rand(1, 9, 16, 16), torch.rand(1, 16, 2, 2)
    network(images, context)
    assert torch.equal(seen[0][:, :9], 2 * images - 1)
    assert torch.equal(seen[0][:, 9:], context.repeat_interleave(8, 2).repeat_interleave(8, 3))


# crops


def test_crops_of_frames_and_latents_show_the_same_place():
    x, y, _ = clips()
    y = x + 1
    z = F.avg_pool2d(x.flatten(0, 1), 8).unflatten(0, (2, 13)).repeat(1, 1, 6, 1, 1)[:, :, :16]
    real, fake, context = seraena().crops(x, y, z)
    assert real.shape == fake.shape == (8, 9, SIDE, SIDE)
    assert context.shape == (8, 16, 2, 2)
    torch.testing.assert_close(fake, real + 1)
    means = z.mean(1)  # (N, C, h, w)
    places = {(clip, row, column) for clip in range(2) for row in range(3) for column in range(3)}
    for m, around in enumerate(context):
        (place,) = [
            (clip, row, column)
            for clip, row, column in places
            if torch.equal(means[clip, :, row : row + 2, column : column + 2], around)
        ]
        clip, row, column = place
        assert clip == m // 4
        window = x[clip, :, :, row * 8 : row * 8 + SIDE, column * 8 : column * 8 + SIDE]  # (T, 3, crop, crop)
        starts = [t for t in range(11) if torch.equal(window[t : t + 3].flatten(0, 1), real[m])]
        assert len(starts) == 1


@pytest.mark.parametrize("frames", [3, 5, 9, 13, 17])
def test_every_frame_has_its_turn(frames):
    x = torch.arange(frames).float()[None, :, None, None, None].expand(1, -1, 3, SIDE, SIDE)
    adversary, seen = seraena(), set()
    for _ in range(40):
        real, _, _ = adversary.crops(x, x, torch.zeros(1, 1, 16, 2, 2))
        found = real[:, ::3, 0, 0]
        assert torch.equal(found[:, 1:] - found[:, :-1], torch.ones(frames // 3, 2))  # consecutive
        assert len(found.unique()) == frames // 3 * 3  # none twice
        seen |= set(found.flatten().tolist())
    assert seen == set(range(frames))


def test_too_few_frames_are_refused():
    x, y, z = clips(frames=1)
    with pytest.raises(
        InputError, match="3 decoded frames at once but there is 1: set n_frames to 5 or more"
    ):
        seraena().crops(x, y, z)


# replay buffer


def buffer(megabytes: int = 1, seed: int = 0) -> ReplayBuffer:
    return ReplayBuffer((9, 64, 64), (16, 8, 8), megabytes, CPU, torch.Generator().manual_seed(seed))


def numbered(first: int, n: int) -> tuple[Tensor, Tensor]:
    numbers = torch.arange(first, first + n).float()[:, None, None, None]
    return numbers.expand(-1, 9, 64, 64), numbers.expand(-1, 16, 8, 8)


@pytest.mark.parametrize("megabytes", [1, 2, 5])
def test_bytes_never_exceed_the_cap(megabytes):
    store = buffer(megabytes)
    entry = (9 * 64 * 64 + 16 * 8 * 8) * 2
    assert store.capacity == megabytes * MIB // entry
    for i in range(30):
        store.push(*numbered(4 * i, 4))
        assert store.nbytes <= megabytes * MIB
        assert store.size == min(4 * i + 4, store.capacity)
    assert store.images.shape[0] == store.contexts.shape[0] == store.capacity


def test_a_full_buffer_forgets_at_random():
    store = buffer()
    capacity = store.capacity
    store.push(*numbered(0, capacity))
    store.push(*numbered(1000, 4))
    kept = store.images[:, 0, 0, 0]
    assert int((kept >= 1000).sum()) == 4
    assert torch.equal(store.contexts[:, 0, 0, 0], kept)  # an image keeps its context
    assert not torch.equal(kept[:4], torch.arange(1000, 1004).half())
    store.push(*numbered(2000, capacity + 7))  # more than fit
    assert set(store.images[:, 0, 0, 0].tolist()) == set(range(2007, 2007 + capacity))


def test_samples_come_with_their_context():
    store = buffer()
    store.push(*numbered(0, 10))
    images, contexts = store.sample(200)
    assert torch.equal(images[:, 0, 0, 0], contexts[:, 0, 0, 0])
    assert set(images[:, 0, 0, 0].tolist()) == set(range(10))
    assert images.dtype == torch.float32


def test_a_cap_below_one_entry_is_refused():
    with pytest.raises(
        InputError, match=r"seraena_buffer_mb is 1 but one entry takes 4\.6 MiB: raise it or lower"
    ):
        ReplayBuffer((9, 512, 512), (16, 64, 64), 1, CPU, torch.Generator())


# step


def test_learns_from_real_crops_and_half_new_half_old_fakes(monkeypatch):
    adversary = seraena()
    for seed in range(5):
        adversary.step(*triples(seed, m=6))
    seen: list[tuple[Tensor, Tensor]] = []
    score = adversary._score
    monkeypatch.setattr(adversary, "_score", lambda *inputs: seen.append(inputs) or score(*inputs))
    real, fake, context = triples(9, m=6)
    adversary.step(real, fake, context)
    images, contexts = seen[0]
    assert torch.equal(images[:6], real)
    assert torch.equal(contexts[:6], context)
    fakes, around = images[6:], contexts[6:]
    places = [[m for m in range(6) if torch.equal(fake[m], one)] for one in fakes]
    assert [len(place) for place in places[:3]] == [1, 1, 1]
    assert len({place[0] for place in places[:3]}) == 3
    assert torch.equal(around[:3], context[[place[0] for place in places[:3]]])
    stored = adversary.buffer.images[: adversary.buffer.size].float()
    assert all(any(torch.equal(one, old) for old in stored) for one in fakes[3:])


def test_discriminator_loss_is_the_error_to_plus_and_minus_one():
    adversary = seraena()
    before = copy.deepcopy(adversary.discriminator)
    real, fake, context = triples(m=1)
    adversary.step(real, fake, context)  # of one crop, all of the fakes are this step's
    scores = before.train()(torch.cat([real, fake]), torch.cat([context, context]))
    expected = ((scores[0] - 1).square().mean() + (scores[1] + 1).square().mean()) / 2
    torch.testing.assert_close(adversary.discriminator_loss, expected.detach())
    assert adversary.steps == 1
    optimiser = adversary.optimiser.param_groups[0]
    assert (optimiser["lr"], optimiser["betas"]) == (3e-4, (0.9, 0.99))


def test_the_correction_is_the_normalised_gradient_in_eval_mode():
    adversary = seraena()
    real, fake, context = triples()
    target = adversary.step(real, fake, context)
    network = adversary.discriminator
    statistics = [value.clone() for value in network.buffers()]
    network.eval()
    moved = fake.clone().requires_grad_()
    apart = (network(real, context) - network(moved, context)).square()
    apart.mean((1, 2, 3)).sum().backward()
    expected = -moved.grad / (moved.grad.std(correction=0) + 1e-5)
    torch.testing.assert_close(target - fake, expected, rtol=1e-3, atol=1e-5)
    assert all(map(torch.equal, statistics, network.buffers()))
    assert not target.requires_grad


def test_the_decoder_learns_from_crops_alone():
    x, y, z = clips()
    y.requires_grad_()
    z.requires_grad_()
    adversary = seraena()
    adversary.loss(x, y, z).backward()
    touched = (y.grad != 0).any(2)  # (N, T, H, W)
    assert int(touched.sum()) <= 8 * 3 * SIDE * SIDE
    assert int(touched.sum()) > 7 * 3 * SIDE * SIDE
    assert z.grad is None
    assert all(parameter.requires_grad for parameter in adversary.discriminator.parameters())


def test_belongs_to_the_loss():
    x, y, z = clips()
    total, parts = Loss(replace(PARAMS, seraena_weight=0.5), 16, CPU)(x, z, y, None, seraena())
    expected = seraena().loss(x, y, z)
    torch.testing.assert_close(parts["seraena"], expected)
    torch.testing.assert_close(total, parts["recon"] + 0.5 * expected)
    assert parts["discriminator"] == pytest.approx(1, abs=0.5)


def test_sees_the_latents_that_were_decoded(monkeypatch):
    """With a teacher those are the teacher's."""
    x, y, own = clips()
    adversary, seen = seraena(), []
    crops = adversary.crops
    monkeypatch.setattr(adversary, "crops", lambda *values: seen.append(values[2]) or crops(*values))
    for teacher in (None, own + 1):
        Loss(PARAMS, 16, CPU)(x, own, y, teacher, adversary)
    assert torch.equal(seen[0], own)
    assert torch.equal(seen[1], own + 1)


def test_corrections_sharpen_what_is_blurred():
    """A decoder with one weight, its sharpness, learns from the corrections alone: from 0, blurred, towards 1, real."""
    generator = torch.Generator().manual_seed(0)
    sharpness = torch.zeros((), requires_grad=True)
    optimiser = torch.optim.Adam([sharpness], 0.1)
    adversary = seraena()
    for _ in range(14):
        noise = torch.rand(4, 9, SIDE // 2, SIDE // 2, generator=generator).round()
        real = noise.repeat_interleave(2, 2).repeat_interleave(2, 3)
        blurred = F.avg_pool2d(F.pad(real, (2, 2, 2, 2), mode="replicate"), 5, 1)
        fake = blurred + sharpness * (real - blurred)
        optimiser.zero_grad()
        F.mse_loss(fake, adversary.step(real, fake, torch.zeros(4, 16, 2, 2))).backward()
        optimiser.step()
    assert 0.7 < sharpness < 1.4


# checkpoints


def steps(adversary: Seraena, seeds: range) -> list[Tensor]:
    return [adversary.loss(*clips(seed)) for seed in seeds]


def test_resumed_equals_uninterrupted():
    whole = seraena()
    whole.buffer.push(
        torch.rand(200, 9, SIDE, SIDE), torch.rand(200, 16, 2, 2)
    )  # nearly full: overwritten below
    steps(whole, range(2))
    file = io.BytesIO()
    torch.save(whole.state_dict(), file)
    expected = steps(whole, range(2, 4))

    resumed = seraena(99)
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert resumed.steps == 2
    assert all(map(torch.equal, expected, steps(resumed, range(2, 4))))
    assert whole.buffer.size == whole.buffer.capacity == 221
    left, right = whole.state_dict(), resumed.state_dict()
    for part in ("discriminator", "buffer"):
        for name, value in left[part].items():
            assert torch.equal(value, right[part][name]), name
    for a, b in zip(left["optimiser"]["state"].values(), right["optimiser"]["state"].values(), strict=True):
        assert torch.equal(a["exp_avg_sq"], b["exp_avg_sq"])
    assert torch.equal(left["generator"], right["generator"])
    assert left["steps"] == right["steps"] == 4


def test_a_checkpoint_holds_only_what_is_used():
    adversary = seraena(seraena_buffer_mb=64)
    steps(adversary, range(1))
    file = io.BytesIO()
    torch.save(adversary.state_dict()["buffer"], file)
    assert file.tell() < MIB


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"seraena_crop": 32}, "images .*: resume with the seraena_crop"),
        ({"seraena_buffer_mb": 1}, "150 entries but 98 fit"),
    ],
)
def test_a_checkpoint_of_another_buffer_is_refused(changes, says):
    other = seraena(seraena_buffer_mb=2, seraena_crop=24)
    other.buffer.push(torch.rand(150, 9, 24, 24), torch.rand(150, 16, 3, 3))
    before = seraena(**{"seraena_crop": 24, **changes})
    with pytest.raises(RunError, match=says):
        before.load_state_dict(other.state_dict())
    assert before.steps == 0


# processes


class Gloo:
    def __init__(self, count: int) -> None:
        self.count = count

    def sum(self, value: Tensor) -> Tensor:
        dist.all_reduce(value)
        return value


def process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    adversary = seraena(rank)
    adversary.sync(Gloo(2))
    steps(adversary, range(10 * rank, 10 * rank + 3))
    torch.save(adversary.state_dict(), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.integration
def test_two_processes_have_one_discriminator(tmp_path):
    torch.multiprocessing.spawn(process, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    for name, value in first["discriminator"].items():
        assert torch.equal(value, second["discriminator"][name]), name
    assert not torch.equal(first["buffer"]["images"], second["buffer"]["images"])
    alone = seraena()
    steps(alone, range(3))
    apart = alone.state_dict()["discriminator"]
    for name in ("blocks.3.0.weight", "blocks.3.1.running_mean", "blocks.3.1.running_var"):
        assert not torch.equal(first["discriminator"][name], apart[name])


def test_averages_gradients_and_statistics_over_processes():
    """Played in one process: what the other contributes is added by hand."""
    batches = triples(0), triples(1)
    singles = [seraena() for _ in batches]
    assert all(map(torch.equal, *(s.discriminator.parameters() for s in singles)))  # they begin alike
    flat = []
    for single, batch in zip(singles, batches, strict=True):
        single._mean = lambda value: flat.append(value) or value
        single.step(*batch)

    class Other:
        count = 2

        def sum(self, value: Tensor) -> Tensor:
            assert torch.equal(value, flat[0])
            return value + flat[1]

    together = seraena()
    together.sync(Other())
    together.step(*batches[0])
    means = [(a + b) / 2 for a, b in zip(*(s.discriminator.buffers() for s in singles), strict=True)]
    for ours, mean in zip(together.discriminator.buffers(), means, strict=True):
        torch.testing.assert_close(ours.float(), mean.float())
    gradients = [torch.cat([p.grad.flatten() for p in s.discriminator.parameters()]) for s in singles]
    ours = torch.cat([p.grad.flatten() for p in together.discriminator.parameters()])
    torch.testing.assert_close(ours, (gradients[0] + gradients[1]) / 2)


def test_begins_alike_wherever_it_is_built():
    weights = []
    for global_seed, seed in ((1, 7), (2, 7), (2, 8)):
        torch.manual_seed(global_seed)
        weights.append(
            torch.cat([p.flatten() for p in seraena(global_seed, seed=seed).discriminator.parameters()])
        )
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])


def test_draws_nothing_from_the_global_generator():
    state = torch.get_rng_state()
    steps(seraena(), range(1))
    assert torch.equal(state, torch.get_rng_state())
