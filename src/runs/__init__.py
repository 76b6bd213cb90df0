"""How and where a training run executes: checkpoints and resume, hardware, cost.

A run is a function, its parameters, its inputs and a directory; this package knows no model and no data.
"""


class RunError(RuntimeError):
    """A run cannot go on as asked (device, checkpoint, price). The message is one sentence with the remedy."""
