"""What runs in a container: inputs from the Volume, the job's function, its outputs to the Volume.

A plain function in an importable module; the launcher makes a Modal function of it.
"""

import errno
import hashlib
import importlib
import importlib.metadata
import json
import os
import platform
import shutil
import signal
import tempfile
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runs import RunError
from runs.atomic import atomic_dir, atomic_file
from runs.content import content, sha256
from runs.job import Job, call
from runs.launcher import Crashed
from runs.remote import CLAIMS, INPUTS, MOUNT, VOLUME, run_path
from runs.remote.calls import END, EVENT, INTERRUPTED, outcome_of
from runs.remote.faults import sentence
from runs.remote.records import CALL_ID, Done, Note
from runs.signals import deferred, interruptible
from runs.text import CHECKPOINT

WRITE_REFUSED = ("PytorchStreamWriter", "unexpected pos")
"""How torch tells of a write that the system refused."""
TOLD = ("key", "label", "function", "params", "options", "processes")
"""Fields of a job that its order has as they are."""
PINNED = ("torch", "numpy")
"""Packages whose versions decide a run's numbers."""


def execute(order: dict[str, Any]) -> dict[str, Any]:
    """Carries out an order of `launch.order_of`. Returns {} when done.json is written, or one of

    {"error": sentence}: the run cannot work, so a retry would not help (an input or a version is wrong).
    {"other": call id}: another call of the same run is under way.

    An exception means a failed attempt, after which Modal may start another, as after a timeout or a preemption. It is
    a RuntimeError that names the job's, whose type would tell the client of a state of the call or of the network.
    """
    import modal

    volume = modal.Volume.from_name(VOLUME)
    with interruptible() as signals:
        try:
            answer = attempt(order, volume, Path(os.environ.get("RUNS_VOLUME", MOUNT)))
        except KeyboardInterrupt:  # preempted, timed out or stopped
            volume.commit()
            print(f"\n{INTERRUPTED}{run_path(order['key'])} is kept", flush=True)  # the job's line may be cut
            if signal.SIGUSR1 in signals:
                raise modal.exception.InputCancellation(
                    "stopped"
                ) from None  # what Modal's container waits for
            raise
        except Exception as error:
            if full(error):
                answer = {"error": sentence(modal.exception.ResourceExhaustedError(str(error)))}
            elif type(error).__module__.split(".")[0] in order["packages"] and not isinstance(error, Crashed):
                answer = {"error": str(error)}  # one of our own, whose message is a sentence
            else:
                traceback.print_exc()
                raise RuntimeError(f"{type(error).__name__}: {error}") from None
    print(END, flush=True)
    return answer


def full(error: Exception) -> bool:
    """Whether an error means that there is no space left."""
    import modal

    return (
        isinstance(error, modal.exception.ResourceExhaustedError)
        or getattr(error, "errno", None) == errno.ENOSPC
        or (isinstance(error, RuntimeError) and any(sign in str(error) for sign in WRITE_REFUSED))
        or (isinstance(error, Crashed) and os.strerror(errno.ENOSPC) in str(error))
    )


def attempt(order: dict[str, Any], volume: Any, root: Path) -> dict[str, Any]:
    """One attempt at an order; `root` is where the Volume is mounted."""
    import modal

    fault = mismatch(order["versions"], versions(order["packages"]))
    if fault is not None:
        return {"error": fault}
    other = claim(order["key"])
    if other is not None:
        return {"other": other}
    volume.reload()  # after the claim: whoever had it before has ended, and what it left is seen
    if (root / run_path(order["key"], "done.json")).exists():
        return {}
    mine = Note(
        call_id=modal.current_function_call_id(), **{name: order[name] for name in ("app_id", "label", "gpu")}
    )
    write_json(root / run_path(order["key"], "call.json"), asdict(mine))
    volume.commit()
    work(order, volume, root)
    return {}


def versions(packages: list[str]) -> dict[str, str]:
    """Versions of Python and of what decides the numbers, and a hash of our own code, as it runs here."""
    found = {"Python": ".".join(platform.python_version_tuple()[:2])}
    for name in PINNED:
        found[name] = importlib.metadata.version(name).split("+")[0]  # without +cpu, +cu130
    digest = hashlib.sha256()
    for package in packages:
        directory = Path(str(importlib.import_module(package).__file__)).parent
        for path in sorted(directory.rglob("*.py")):
            digest.update(
                f"{package}/{path.relative_to(directory).as_posix()}\0".encode() + path.read_bytes()
            )
    found["our code"] = digest.hexdigest()[:12]
    return found


def mismatch(client: Mapping[str, str], here: Mapping[str, str]) -> str | None:
    """A sentence if the container is not what the client expects."""
    differing = [f"{n} is {client.get(n)} here and {v} there" for n, v in here.items() if client.get(n) != v]
    if not differing:
        return None
    return (
        f"this machine and the container differ: {'; '.join(differing)}: "
        "install requirements.lock here (`make install`) and run the command again"
    )


def claim(key: str) -> str | None:
    """Takes the run for this call, exclusively; or the id of the call that has it and is under way.

    The Dict's entries <key>/0, <key>/1, ... are the calls that had the run, one after another. An entry is set once and
    never changed, and the next one only when its call is over, so of several containers that come at once one gets it.
    Modal drops an entry a week after it was last read (modal.Dict's documentation). Each attempt reads those up to its
    own and lasts a day at most, so no entry is lost while its call may still train.
    """
    import modal

    claims = modal.Dict.from_name(CLAIMS, create_if_missing=True)
    me = modal.current_function_call_id()
    turn = 0
    while not claims.put(f"{key}/{turn}", me, skip_if_exists=True):
        owner = claims.get(f"{key}/{turn}")
        if owner == me:  # an earlier attempt of this call
            return None
        # An entry that is no call's id holds nothing up.
        if isinstance(owner, str) and CALL_ID.fullmatch(owner) and outcome_of(owner).state == "running":
            return owner
        turn += 1
    return None


def work(order: dict[str, Any], volume: Any, root: Path) -> None:
    """Inputs, the job's function, outputs, done.json."""
    run = root / run_path(order["key"])
    checkpoints, listing = run / "checkpoints", run / "checkpoints.json"
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "output"
        output.mkdir()
        inputs = gather(order["inputs"], root, Path(folder) / "inputs")
        job = Job(inputs=inputs, **{name: order[name] for name in TOLD})

        def on_record(record: dict[str, Any]) -> None:
            with deferred():  # the client reads whole lines: one write, with its end
                print(f"{EVENT}{json.dumps(record)}\n", end="", flush=True)

        def on_checkpoint(path: Path) -> None:
            with deferred():  # Modal's client may lose an interruption that comes just as the commit returns
                enlist(checkpoints, listing)
                volume.commit()

        try:
            result = call(job, checkpoints, output, on_record=on_record, on_checkpoint=on_checkpoint)
        except KeyboardInterrupt:  # maybe between a checkpoint and its entry
            enlist(checkpoints, listing)
            raise
        with atomic_dir(run / "output") as temporary:
            shutil.copytree(output, temporary, dirs_exist_ok=True)
        files = {path.relative_to(output).as_posix(): content(path) for path in files_below(output)}
    volume.commit()
    done = Done(label=order["label"], gpu=order["gpu"], result=result, files=files)
    write_json(run / "done.json", asdict(done))
    volume.commit()


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def enlist(checkpoints: Path, listing: Path) -> None:
    """Writes size and SHA-256 of the files of every checkpoint that there is."""
    names = {path.relative_to(checkpoints).as_posix(): path for path in files_below(checkpoints)}
    write_json(listing, {n: asdict(content(path)) for n, path in names.items() if CHECKPOINT.fullmatch(n)})


def gather(inputs: Mapping[str, Any], root: Path, folder: Path) -> dict[str, Path]:
    """Copies the input files to the container's own disk, under their names, and checks them."""
    print(
        f"inputs: {sum(facts['size'] for facts in inputs.values()) / 1e6:,.1f} MB from the Volume", flush=True
    )
    files = {}
    for name, facts in inputs.items():
        stored, files[name] = root / INPUTS / facts["sha256"], folder / name
        files[name].parent.mkdir(parents=True, exist_ok=True)
        if stored.is_file() and stored.stat().st_size == facts["size"]:
            shutil.copyfile(stored, files[name])
        if not files[name].exists() or sha256(files[name]) != facts["sha256"]:
            raise RunError(
                f"the input {name} is missing from the Volume or damaged: `python -m runs clean --inputs` removes all "
                "inputs, then run the command again"
            )
    return files


def write_json(path: Path, values: dict[str, Any]) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(values) + "\n")
