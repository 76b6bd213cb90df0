"""A run on a Modal GPU: the same function as a local run, called in a container.

On the Volume, one directory per run and one of input files:

    inputs/<sha256>                    input files by their content, shared by all runs
    runs/<key>/queued.json             the call as its client made it, which keeps the inputs that it will read
    runs/<key>/call.json               the call that trains, written by its container before it trains
    runs/<key>/checkpoints/            what the run keeps there itself: see runs.checkpoints and runs.folders
    runs/<key>/checkpoints.json        size and SHA-256 of each checkpoint's files
    runs/<key>/output/                 what the run leaves
    runs/<key>/done.json               its result, and size and SHA-256 of each output; written last

In the Dict, which sets a key only once, who may write in runs/<key>/: see container.claim.

modal is imported within functions only, so that all else works without it.
"""

VOLUME = "mabe-data"
CLAIMS = "mabe-claims"
MOUNT = "/vol"
"""Where containers see the Volume."""
INPUTS = "inputs"
RUNS = "runs"
QUEUED = "queued.json"


def run_path(key: str, *names: str) -> str:
    """A path on the Volume."""
    return "/".join((RUNS, key, *names))
