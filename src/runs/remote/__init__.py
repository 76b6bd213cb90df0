"""A run on a Modal GPU: the same function as a local run, called in a container.

On the Volume, one directory per run and one of pieces of input files:

    pieces/<sha256>                    pieces of input files, shared by all runs
    runs/<key>/queued.json             the call as its client made it, which keeps the pieces that it will read
    runs/<key>/call.json               the call that trains, written by its container before it trains
    runs/<key>/checkpoints/            epoch-*.pt and the run's key, see runs.checkpoints
    runs/<key>/checkpoints.json        size and SHA-256 of each
    runs/<key>/output/                 what the run leaves
    runs/<key>/done.json               its result, and size and SHA-256 of each output; written last

In the Dict, which sets a key only once, who may write in runs/<key>/: see container.claim.

modal is imported within functions only, so that all else works without it.
"""

from dataclasses import dataclass

VOLUME = "mabe-data"
CLAIMS = "mabe-claims"
MOUNT = "/vol"
"""Where containers see the Volume."""
PIECES = "pieces"
RUNS = "runs"
QUEUED = "queued.json"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a container gets. None leaves it to Modal."""

    gpu: str | None
    cores: float | None
    memory_mb: int | None
    timeout_s: int
    """Of one attempt; at most 24 hours."""
    retries: int
    """Attempts after a failed one or a timeout, each from the newest checkpoint. Preemptions do not count."""


def run_path(key: str, *names: str) -> str:
    """A path on the Volume."""
    return "/".join((RUNS, key, *names))
