"""How and where a training run executes: parameters, checkpoints and resume, hardware, cost.

A run is a function, its parameters, its inputs and a directory; this package knows no model and no data.
"""


class InputError(ValueError):
    """Bad data or parameters. The message is one sentence: what, where, and what to do.

    Stages print the message alone and exit with 1; every other exception keeps its traceback.
    """


class RunError(RuntimeError):
    """A run cannot go on as asked (device, checkpoint, price). The message is one sentence with the remedy."""
