"""runs.memory: refused memory is told from other faults, whoever refuses it."""

import resource

import numpy as np
import pytest
import torch
from workspace import FEW_FILES, make, stage, stages, unfinished

from mabe.readers.tables import reading
from runs import InputError, memory


@pytest.mark.parametrize(
    "ask",
    [lambda: np.empty(10**15), lambda: torch.empty(10**15), lambda: bytearray(10**16)],
    ids=["numpy", "torch", "python"],
)
def test_a_library_that_gets_no_memory(ask):
    with pytest.raises((MemoryError, RuntimeError)) as error:
        ask()
    assert memory.refused(error.value)
    assert "ulimit -v" in memory.sentence(error.value)
    assert "\n" not in memory.sentence(error.value)
    assert "batch_size" not in memory.sentence(error.value)
    assert memory.sentence(error.value, "set batch_size lower").endswith(", or set batch_size lower")


def test_other_faults_are_none_of_memory():
    assert not memory.refused(RuntimeError("shape mismatch"))
    assert not memory.refused(FileNotFoundError(2, "No such file", "x"))


def test_a_file_is_not_called_damaged_for_lack_of_memory(tmp_path):
    with pytest.raises(OSError, match="Cannot allocate memory"), reading(tmp_path / "a"):
        raise OSError(12, "Cannot allocate memory")
    with pytest.raises(InputError, match="cannot be read"), reading(tmp_path / "a"):
        raise OSError(5, "Input/output error")


@pytest.mark.integration
def test_a_stage_with_too_little_memory_ends_in_one_sentence(tmp_path):
    folder = make(tmp_path / "w", **FEW_FILES)
    stages(folder, "check", "simulate", "ingest", "label_expand", "motion_features")
    limit = 500_000 * 1024  # less than torch itself needs
    done = stage(folder, "train", lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("error: the memory does not suffice (")
    assert unfinished(folder) == []
    assert not (folder / "models/train").exists()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = make(tmp_path_factory.mktemp("memory") / "w", **FEW_FILES)
    stages(folder, "check", "simulate", "ingest", "label_expand", "motion_features")
    return folder


@pytest.mark.integration
@pytest.mark.parametrize("megabytes", [350, 400, 450, 500, 600])
@pytest.mark.parametrize("name", ["ingest", "label_expand", "motion_features"])
def test_a_stage_with_little_memory_ends(prepared, name, megabytes):
    """Arrow's own threads, of which the system starts some only, wait for ever, so no table is read with them."""
    limit = megabytes * 1000 * 1024
    done = stage(
        prepared, name, lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    )  # or times out
    assert "Traceback" not in done.stderr
    if done.returncode == 127:  # the system's loader ends the process itself, as a kill does
        assert "cannot allocate memory" in done.stderr
        return
    assert unfinished(prepared) == []
    assert done.returncode in (0, 1)
    if done.returncode == 1:
        said = done.stderr.strip().splitlines()[-1]
        assert said.startswith("error: the memory does not suffice (")
        assert "batch_size" not in said  # these stages have none
