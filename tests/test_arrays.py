"""Arrays on the disk: zeros of the asked shape, or an error that names the file."""

import resource
import subprocess
import sys

import numpy as np

from mabe import arrays


def test_a_created_array_reads_as_zeros_and_keeps_what_is_written(tmp_path):
    array = arrays.create(tmp_path / "a.npy", np.float16, (5, 3))
    array[2] = 7
    array.flush()
    read = np.load(tmp_path / "a.npy")
    assert read.dtype == np.float16
    np.testing.assert_array_equal(
        read, np.array([0, 0, 7, 0, 0], np.float16)[:, None] * np.ones(3, np.float16)
    )


def test_without_room_it_is_an_error_that_names_the_file(tmp_path):
    code = (
        "import signal, pathlib, numpy; from mabe import arrays; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
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
