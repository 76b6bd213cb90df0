"""Arrays on the disk: zeros of the asked shape, or an error that names the file."""

import resource
import subprocess
import sys

import numpy as np
import pytest

from mabe.data import arrays


def test_a_created_array_reads_as_zeros_and_keeps_what_is_written(tmp_path):
    array = arrays.create(tmp_path / "a.npy", np.float16, (5, 3))
    array[2] = 7
    array.flush()
    read = np.load(tmp_path / "a.npy")
    assert read.dtype == np.float16
    np.testing.assert_array_equal(
        read, np.array([0, 0, 7, 0, 0], np.float16)[:, None] * np.ones(3, np.float16)
    )


def test_rows_are_written_in_any_order_and_must_fit(tmp_path):
    with arrays.writing(tmp_path / "a.npy", np.float32, (6, 2, 3)) as write:
        rows = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
        write(4, rows)
        write(1, rows[:1])
        write(0, rows.transpose(0, 2, 1)[:1].transpose(0, 2, 1))  # not contiguous
        for row, wrong in ((5, rows), (0, rows.astype(np.float64)), (0, rows[:, :1])):
            with pytest.raises(ValueError, match=r"does not fit .*a\.npy"):
                write(row, wrong)
    expected = np.zeros((6, 2, 3), np.float32)
    expected[4:], expected[1], expected[0] = rows, rows[0], rows[0]
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), expected)


def test_without_room_it_is_an_error_that_names_the_file(tmp_path):
    code = (
        "import signal, pathlib, numpy; from mabe.data import arrays; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        f"arrays.create(pathlib.Path({str(tmp_path)!r}) / 'big.npy', numpy.float32, (1000, 1000))"
    )
    limit = 1 << 20
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert "big.npy" in done.stderr
