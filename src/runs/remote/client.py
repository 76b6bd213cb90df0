"""Carries out a run on Modal: attaches to it, starts it, or only downloads it, whichever it needs."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runs import RunError
from runs.atomic import atomic_file
from runs.content import contents
from runs.job import Job, OnEpoch
from runs.remote import Machine, run_path
from runs.remote.calls import Outcome, log_lines, outcome_of
from runs.remote.container import END, EVENT
from runs.remote.faults import import_modal, sentences
from runs.remote.launch import launch
from runs.remote.volume import Volume

PATIENCE = 2  # seconds to wait for a result when the log has ended before it
STATES = Path(".runs/modal")


def carry_out(
    job: Job, machine: Machine, output: Path, *, on_epoch: OnEpoch
) -> tuple[dict[str, Any], str | None]:
    """Fetches the run's outputs into the directory `output`, after training it if need be.

    Returns its result, and the GPU it was trained on, which may be another than `machine`'s if it is an earlier run.
    on_epoch: called with epochs 1, 2, ... as they end. RunError in one sentence for all that goes wrong.
    KeyboardInterrupt leaves the run alive.
    """
    with sentences():
        volume = Volume()
        done = volume.json(run_path(job.key, "done.json"))
        if done is None:
            try:
                done = _train(job, machine, volume, on_epoch)
            except KeyboardInterrupt:
                if state(job.key) is not None:
                    print(
                        f"\nrun {job.key[:12]} goes on without this machine; the same command attaches to it again, "
                        f"`python -m runs stop {job.key[:12]}` stops it",
                        flush=True,
                    )
                raise
        else:
            print(f"run {job.key[:12]} is done: only its outputs are fetched", flush=True)
        volume.download(job.key, done["files"], "output", output)
        stop_apps(notes(job.key, volume))
        state_path(job.key).unlink(missing_ok=True)
        return done["result"], done["gpu"]


def _train(job: Job, machine: Machine, volume: Volume, on_epoch: OnEpoch) -> dict[str, Any]:
    """Attaches or starts, follows to the end; done.json."""
    calls = Followed(on_epoch)
    former = notes(job.key, volume)
    call_id = running_call(former)
    if call_id is not None:
        print(f"run {job.key[:12]} is under way: attaching to it", flush=True)
    else:
        stop_apps(former)  # of a call that was lost between the two notes, or that failed
        found = contents(job.inputs)
        sent = volume.upload(job.inputs, found)
        print(
            f"inputs: {sent / 1e6:,.1f} MB uploaded" if sent else "inputs: already on the Volume", flush=True
        )
        done = volume.json(run_path(job.key, "done.json"))
        if done is not None:  # somebody else's run ended meanwhile
            return done
        call_id = launch(job, machine, found, volume, lambda app, call: _note(job, machine, app, call))
        print(f"run {job.key[:12]} started on Modal ({machine.gpu or 'CPU'})", flush=True)
    outcome = calls.follow(call_id)
    while outcome.state == "ended" and "other" in (outcome.value or {}):  # somebody else was first
        print(f"run {job.key[:12]} is under way elsewhere: attaching to it", flush=True)
        outcome = calls.follow(outcome.value["other"])
    if outcome.state == "ended" and "error" in (outcome.value or {}):
        raise RunError(outcome.value["error"])
    done = volume.json(run_path(job.key, "done.json"))
    if done is None:
        how = ": ".join(filter(None, (outcome.state, outcome.says)))
        raise RunError(
            f"run {job.key[:12]} on Modal is over without a result ({how}; `python -m runs logs {job.key[:12]}` "
            "shows its log): the same command goes on from the newest checkpoint"
        )
    return done


class Followed:
    """Prints calls' logs and hands on their epochs, each once, however often a log begins anew."""

    def __init__(self, on_epoch: OnEpoch) -> None:
        self.on_epoch = on_epoch
        self.epochs = 0

    def follow(self, call_id: str) -> Outcome:
        """Until the call has ended."""
        seen = newest = datetime.min.replace(tzinfo=UTC)
        while True:
            for time, line in log_lines(call_id):
                if time <= seen:
                    continue
                newest = max(newest, time)
                if line == END:
                    break
                self.take(line)
            seen = newest
            outcome = outcome_of(call_id, PATIENCE)
            if outcome.state != "running":
                return outcome

    def take(self, line: str) -> None:
        if not line.startswith(EVENT):
            print(line, flush=True)
            return
        record = json.loads(line.removeprefix(EVENT))
        if record["epoch"] > self.epochs:
            self.epochs = record["epoch"]
            self.on_epoch(record)


def notes(key: str, volume: Volume) -> list[dict[str, Any]]:
    """What is known of the run's calls: the local note and the container's, each with app_id and call_id, if any."""
    return [note for note in (state(key), volume.json(run_path(key, "call.json"))) if note is not None]


def running_call(notes: list[dict[str, Any]]) -> str | None:
    """The id of the first call that is under way."""
    calls = [note["call_id"] for note in notes if note["call_id"] is not None]
    return next((call_id for call_id in calls if outcome_of(call_id).state == "running"), None)


def stop_apps(notes: list[dict[str, Any]]) -> None:
    """Stops the apps of the notes, and with them whatever still runs in them."""
    modal = import_modal()
    for app_id in {note["app_id"] for note in notes}:
        try:
            modal.App.lookup(app_id).stop()
        except modal.exception.NotFoundError:
            continue  # Modal forgets apps some time after they end


def state_path(key: str) -> Path:
    """The local note of a run's ids."""
    return STATES / f"{key}.json"


def state(key: str) -> dict[str, Any] | None:
    """The local note, with the fields of the container's call.json; its call_id is None until the call is made."""
    path = state_path(key)
    return json.loads(path.read_text()) if path.exists() else None


def known_runs(volume: Volume) -> list[str]:
    """Keys of the runs on the Volume and of those of which there is only a local note, as they wait for a container."""
    return sorted({*volume.runs(), *(path.stem for path in STATES.glob("*.json"))})


def _note(job: Job, machine: Machine, app_id: str, call_id: str | None) -> None:
    note = {"call_id": call_id, "app_id": app_id, "label": job.label, "gpu": machine.gpu}
    with atomic_file(state_path(job.key)) as temporary:
        temporary.write_text(json.dumps(note) + "\n")
