"""runs.memory: refused memory is told from other faults, whoever refuses it."""

import resource
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from workspace import ENVIRONMENT, FEW_FILES, command, make, stages, unfinished

from mabe.data import table_files
from mabe.data.tables import reading
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


def limited(folder, name, limit):
    """A stage in a process of its own with so many bytes of address space, its imports included."""
    return subprocess.run(
        command(name),
        cwd=folder,
        env=ENVIRONMENT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def ended(folder, name, limit):
    """As `limited`. Python itself waits for ever for a thread that got no memory to begin with: then once more."""
    try:
        return limited(folder, name, limit)
    except subprocess.TimeoutExpired as error:
        if b"Exception ignored in thread started by" not in (error.stderr or b""):
            raise
        return limited(folder, name, limit)


@pytest.mark.integration
def test_a_stage_with_too_little_memory_ends_in_one_sentence(tmp_path):
    folder = make(tmp_path / "w", **FEW_FILES)
    stages(folder, "check", "simulate", "ingest", "label_expand", "motion_features")
    limit = 500_000 * 1024  # less than torch itself needs
    done = limited(folder, "train", limit)
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
@pytest.mark.parametrize("megabytes", [350, 380, 400, 450, 500, 600])
@pytest.mark.parametrize("name", ["ingest", "label_expand", "motion_features"])
def test_a_stage_with_little_memory_ends(prepared, monkeypatch, name, megabytes):
    """Arrow's own threads, of which the system starts some only, wait for ever, so no table is read with them."""
    monkeypatch.setitem(ENVIRONMENT, "OMP_NUM_THREADS", "2")  # their stacks take what is left
    limit = megabytes * 1000 * 1024
    before = unfinished(prepared)  # of a stage that was killed in an earlier test
    done = ended(prepared, name, limit)  # or times out
    last = (done.stderr.strip().splitlines() or [""])[-1]
    if done.returncode == 1 and last.startswith("error: "):
        assert last.startswith("error: the memory does not suffice (")  # and no file is wrong
        assert "batch_size" not in last  # these stages have none
    if done.returncode in (0, 1):  # some libraries end the process themselves, as a kill does
        assert set(unfinished(prepared)) <= set(before)


def test_a_table_without_memory_is_not_called_damaged(tmp_path, monkeypatch):
    def read_csv(path, **options):
        raise pd.errors.ParserError("Error tokenizing data. C error: out of memory")

    monkeypatch.setattr(pd, "read_csv", read_csv)
    with pytest.raises(MemoryError) as error:
        table_files.read_csv(tmp_path / "train.csv")
    assert memory.refused(error.value)


def test_a_table_is_read_and_written_without_a_pool_of_threads(tmp_path):
    """As pandas does it, bit for bit; Arrow starts one thread, as it does for any file."""
    table = pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": [0.5, None]})
    code = (
        "import sys, os, pathlib; from mabe.data import table_files; n = len(os.listdir('/proc/self/task')); "
        "p = pathlib.Path(sys.argv[1]); t = table_files.read_table(p); table_files.write_table(t, p.with_name('b')); "
        "print(len(os.listdir('/proc/self/task')) - n)"
    )
    table.to_parquet(tmp_path / "a", index=False)
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a"], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) <= 1
    pd.testing.assert_frame_equal(table_files.read_table(tmp_path / "b"), pd.read_parquet(tmp_path / "a"))
    pd.read_parquet(tmp_path / "a").to_parquet(tmp_path / "c", index=False)
    assert (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()
