"""Seeds of random numbers, each a function of what it is for: a run that goes on draws what it would have drawn."""

import numpy as np


def seed_of(*words: int | str, bits: int = 64) -> int:
    """A seed of 32 or 64 bits that follows from `words` alone, unrelated between any two lists of them.

    words: whole numbers from 0, such as the run's seed, an epoch or a step; text says what the numbers are for.
    """
    numbers = [n for word in words for n in (word.encode() if isinstance(word, str) else (word,))]
    kind = np.uint64 if bits == 64 else np.uint32
    return int(np.random.SeedSequence(numbers).generate_state(1, kind)[0])
