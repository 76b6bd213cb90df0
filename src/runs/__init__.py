"""How and where a training run executes: parameters, checkpoints and resume, hardware, cost.

A run is a function, its parameters, its inputs and a directory; this package knows no model and no data.
"""

import os

WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
"""How a thread waits for its next piece of work: it sleeps at once, with GNU's OpenMP (torch's on Linux). By default it
spins for milliseconds, which takes the cores from whatever else runs: two trainings side by side then last many times
one. The library reads this when torch loads it, so the packages that use torch import this one first. What the user has
set stays. No result depends on it."""
for _name, _value in WAITING.items():
    os.environ.setdefault(_name, _value)


class InputError(ValueError):
    """Bad data or parameters. The message is one sentence: what, where, and what to do.

    Stages print the message alone and exit with 1; every other exception keeps its traceback.
    """


class RunError(RuntimeError):
    """A run cannot go on as asked (device, checkpoint, price). The message is one sentence with the remedy."""
