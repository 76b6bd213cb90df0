"""The toy run's function, as a job's function."""

import builtins
import hashlib
import json
import time
from pathlib import Path


def run(params, inputs, checkpoints: Path, output: Path, *, key, on_record, on_checkpoint, note):
    """Hashes the input `epochs` times and leaves the last hash; goes on from the newest checkpoint.

    params: epochs, save_freq, pace (s of an epoch), ballast (bytes of a checkpoint), fail_at (epoch in which the first
    attempt fails, or null), error (how).
    """
    state = {
        "epoch": 0,
        "hash": hashlib.sha256(inputs["numbers.bin"].read_bytes()).hexdigest(),
        "history": [],
    }
    found = sorted(checkpoints.glob("epoch-*.pt"))
    if found:
        state = json.loads(found[-1].read_bytes().rstrip(b"\0"))
    first = state["epoch"] + 1
    print(f"toy {note}: epochs {first} to {params['epochs']}", flush=True)

    for record in state["history"]:
        on_record(record)

    def save() -> None:
        checkpoints.mkdir(parents=True, exist_ok=True)
        path = checkpoints / f"epoch-{state['epoch']:04d}.pt"
        path.write_bytes(json.dumps(state).encode().ljust(params["ballast"], b"\0"))
        if on_checkpoint is not None:
            on_checkpoint(path)

    try:
        while state["epoch"] < params["epochs"]:
            time.sleep(params["pace"])
            epoch = state["epoch"] + 1
            if epoch == params["fail_at"] and first == 1:
                raise getattr(builtins, params["error"])(f"epoch {epoch} went wrong")
            digest = hashlib.sha256(state["hash"].encode()).hexdigest()
            record = {"epoch": epoch, "hash": digest}
            state = {"epoch": epoch, "hash": digest, "history": [*state["history"], record]}
            if epoch % params["save_freq"] == 0 or epoch == params["epochs"]:
                save()
            on_record(record)
            print(f"epoch {epoch}/{params['epochs']}", flush=True)
    except KeyboardInterrupt:
        save()
        raise
    (output / "chain.txt").write_text(state["hash"] + "\n")
    (output / "more").mkdir()
    (output / "more/epochs.txt").write_text(f"{state['epoch']}\n")
    return {"history": state["history"]}
