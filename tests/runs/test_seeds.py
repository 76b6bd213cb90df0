"""Seeds follow from what they are for, and differ for whatever else."""

import numpy as np

from runs.seeds import seed_of


def test_seeds_differ_between_runs_steps_and_uses():
    for bits in (32, 64):
        seeds = {seed_of(a, b, use, bits=bits) for a in range(5) for b in range(100) for use in ("step", "x")}
        assert len(seeds) == 1000


def test_a_seed_is_that_of_numpys_sequence():
    assert seed_of(42, 3) == int(np.random.SeedSequence((42, 3)).generate_state(1, np.uint64)[0])
    assert seed_of(42, 3, "a", bits=32) == int(
        np.random.SeedSequence((42, 3, 97)).generate_state(1, np.uint32)[0]
    )
    assert seed_of(42, 3, bits=32) < 2**32
