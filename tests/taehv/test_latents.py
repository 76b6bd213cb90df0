"""Teacher latents on disk: the same values the second time, without the teacher."""

import os

import pytest
import torch
from torch import Tensor

from runs.checkpoints import run_key
from taehv.latents import Cache, encode

COUNT = 6
KEY = run_key({"teacher": "one"}, [])


class CountingTeacher:
    """Latents from frames by a fixed rule; counts the clips it was asked for."""

    def __init__(self) -> None:
        self.clips = 0

    def encode(self, x: Tensor) -> Tensor:
        self.clips += len(x)
        return x.mean((2, 3, 4))[..., None, None, None].expand(-1, -1, 16, 2, 2) * 3.14159


def sample(index: int) -> Tensor:
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(index % COUNT))


def batch(indices: list[int]) -> Tensor:
    return torch.stack([sample(i) for i in indices])


def epoch(teacher: CountingTeacher, cache: Cache | None, first: int) -> list[Tensor]:
    steps = [[first + i, first + i + 1] for i in range(0, COUNT, 2)]
    return [encode(teacher, cache, batch(indices), indices) for indices in steps]


def test_the_second_epoch_asks_the_teacher_nothing(tmp_path):
    teacher = CountingTeacher()
    first = epoch(teacher, Cache(tmp_path, KEY, COUNT), 0)
    assert teacher.clips == COUNT
    second = epoch(teacher, Cache(tmp_path, KEY, COUNT), COUNT)
    assert teacher.clips == COUNT
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)  # so that a resumed run continues as it would have
        assert a.dtype == torch.float32
    for a, b in zip(first, epoch(teacher, None, 0), strict=True):
        torch.testing.assert_close(a, b, rtol=2**-11, atol=0)


def test_a_batch_is_put_together_of_old_and_made_latents(tmp_path):
    teacher, cache = CountingTeacher(), Cache(tmp_path, KEY, COUNT)
    encode(teacher, cache, batch([2]), [2])
    mixed = encode(teacher, cache, batch([1, 2, 3]), [1, 2, 3])
    assert teacher.clips == 3
    torch.testing.assert_close(mixed, CountingTeacher().encode(batch([1, 2, 3])), rtol=2**-11, atol=0)


def test_a_replaced_sample_is_neither_kept_nor_looked_up(tmp_path):
    """Index -1 is not that of the last sample."""
    teacher, cache = CountingTeacher(), Cache(tmp_path, KEY, COUNT)
    kept = encode(teacher, cache, batch([COUNT - 1]), [COUNT - 1])
    mixed = encode(teacher, cache, batch([COUNT - 1, 0]), [COUNT - 1, -1])
    assert torch.equal(mixed[:1], kept)
    torch.testing.assert_close(mixed[1:], CountingTeacher().encode(batch([0])), rtol=2**-11, atol=0)
    assert teacher.clips == 2
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1


@pytest.mark.parametrize("damage", ["cut", "bit", "empty"])
def test_a_damaged_file_is_made_again(tmp_path, damage):
    teacher, cache = CountingTeacher(), Cache(tmp_path, KEY, COUNT)
    whole = encode(teacher, cache, batch([3]), [3])
    (path,) = tmp_path.rglob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 64
    path.write_bytes({"cut": content[:-5], "bit": content, "empty": b""}[damage])
    with pytest.warns(UserWarning, match=r"00000003\.safetensors is damaged .* made again"):
        assert torch.equal(encode(teacher, cache, batch([3]), [3]), whole)
    assert teacher.clips == 2
    assert torch.equal(encode(teacher, cache, batch([3]), [3]), whole)  # the file is whole again
    assert teacher.clips == 2


def test_holds_no_more_than_its_count(tmp_path):
    teacher, cache = CountingTeacher(), Cache(tmp_path, KEY, COUNT)
    for first in range(0, 5 * COUNT, COUNT):
        epoch(teacher, cache, first)
    assert len(list(tmp_path.rglob("*.safetensors"))) == COUNT


def test_latents_of_another_key_are_not_used_and_are_deleted(tmp_path):
    teacher = CountingTeacher()
    epoch(teacher, Cache(tmp_path, KEY, COUNT), 0)
    (tmp_path / "notes").mkdir()  # not ours
    other = run_key({"teacher": "another"}, [])
    epoch(teacher, Cache(tmp_path, other, COUNT), 0)
    assert teacher.clips == 2 * COUNT
    assert sorted(os.listdir(tmp_path)) == sorted([other, "notes"])


def test_a_kill_while_writing_leaves_no_file(tmp_path, monkeypatch):
    cache = Cache(tmp_path, KEY, COUNT)
    monkeypatch.setattr("taehv.latents.save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        cache.put(0, torch.zeros(1, 16, 2, 2))
    assert cache.get(0) is None
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
