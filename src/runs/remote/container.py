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
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runs import RunError
from runs.atomic import atomic_dir, atomic_file
from runs.content import sha256
from runs.job import Job, call
from runs.remote import MOUNT, PIECES, VOLUME, run_path
from runs.remote.calls import outcome_of
from runs.remote.faults import sentence

EVENT = "::epoch:: "
"""Begins a log line that carries an epoch's record as JSON."""
END = "::end::"
"""The last log line of a call that returns."""
PINNED = ("torch", "numpy")
"""Packages whose versions decide a run's numbers."""


def execute(order: dict[str, Any]) -> dict[str, Any]:
    """Carries out an order of `launch.order_of`. Returns {} when done.json is written, or one of

    {"error": sentence}: the run cannot work, so a retry would not help (an input or a version is wrong).
    {"other": call id}: another call of the same run is under way.

    An exception means a failed attempt, after which Modal may start another, as after a timeout or a preemption.
    """
    import modal

    volume = modal.Volume.from_name(VOLUME)
    try:
        answer = attempt(order, volume, Path(os.environ.get("RUNS_VOLUME", MOUNT)))
    except KeyboardInterrupt:  # preempted, timed out or stopped
        volume.commit()
        print(f"interrupted; {run_path(order['key'])} is kept", flush=True)
        raise
    except Exception as error:
        full = isinstance(error, modal.exception.ResourceExhaustedError)
        if full or getattr(error, "errno", None) == errno.ENOSPC:
            answer = {"error": sentence(modal.exception.ResourceExhaustedError(str(error)))}
        elif type(error).__module__.split(".")[0] in order["packages"]:
            answer = {"error": str(error)}  # one of our own, whose message is a sentence
        else:
            traceback.print_exc()
            raise
    print(END, flush=True)
    return answer


def attempt(order: dict[str, Any], volume: Any, root: Path) -> dict[str, Any]:
    """One attempt at an order; `root` is where the Volume is mounted."""
    fault = mismatch(order["versions"], versions(order["packages"]))
    if fault is not None:
        return {"error": fault}
    other = claim(order, volume, root)
    if other is not None:
        return {"other": other}
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


def claim(order: dict[str, Any], volume: Any, root: Path) -> str | None:
    """Writes call.json and commits it; or the id of the call that is already at work on the run."""
    import modal

    volume.reload()
    me = modal.current_function_call_id()
    path = root / run_path(order["key"], "call.json")
    if path.exists():
        other = json.loads(path.read_text())["call_id"]
        if other != me and outcome_of(other).state == "running":
            return other
    write_json(path, {"call_id": me, "app_id": order["app_id"], "label": order["label"], "gpu": order["gpu"]})
    volume.commit()
    return None


def work(order: dict[str, Any], volume: Any, root: Path) -> None:
    """Inputs, the job's function, outputs, done.json."""
    key = order["key"]
    run = root / run_path(key)
    checkpoints, listing = run / "checkpoints", run / "checkpoints.json"
    with tempfile.TemporaryDirectory() as folder:
        inputs, output = Path(folder) / "inputs", Path(folder) / "output"
        output.mkdir()
        files = gather(order["inputs"], root, inputs)

        def on_checkpoint(path: Path) -> None:
            known = json.loads(listing.read_text()) if listing.exists() else {}
            known[path.name] = {"size": path.stat().st_size, "sha256": sha256(path)}
            write_json(listing, {n: facts for n, facts in known.items() if (checkpoints / n).exists()})
            volume.commit()

        job = Job(
            key=key,
            label=order["label"],
            target=order["target"],
            params=order["params"],
            inputs=files,
            options=order["options"],
        )
        result = call(
            job,
            checkpoints,
            output,
            on_epoch=lambda record: print(EVENT + json.dumps(record), flush=True),
            on_checkpoint=on_checkpoint,
        )
        with atomic_dir(run / "output") as temporary:
            shutil.copytree(output, temporary, dirs_exist_ok=True)
        left = sorted(p for p in output.rglob("*") if p.is_file())
        facts = {
            p.relative_to(output).as_posix(): {"size": p.stat().st_size, "sha256": sha256(p)} for p in left
        }
    volume.commit()
    write_json(
        run / "done.json", {"label": order["label"], "gpu": order["gpu"], "result": result, "files": facts}
    )
    volume.commit()


def gather(inputs: Mapping[str, Any], root: Path, folder: Path) -> dict[str, Path]:
    """Puts the input files together from their pieces, on the container's own disk, and checks them."""
    folder.mkdir()
    print(
        f"inputs: {sum(facts['size'] for facts in inputs.values()) / 1e6:,.1f} MB from the Volume", flush=True
    )
    files = {}
    for name, facts in inputs.items():
        files[name] = folder / name
        with files[name].open("wb") as stream:
            for piece in facts["pieces"]:
                path = root / PIECES / piece
                data = path.read_bytes() if path.exists() else b""
                if hashlib.sha256(data).hexdigest() != piece:
                    raise RunError(
                        f"piece {piece} of {name} is missing from the Volume or damaged: `python -m runs clean "
                        "--inputs` removes all pieces, then run the command again"
                    )
                stream.write(data)
    return files


def write_json(path: Path, values: dict[str, Any]) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(values) + "\n")
