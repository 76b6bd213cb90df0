"""Carries out a run on Modal: attaches to it, starts it, or only downloads it, whichever it needs."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runs import RunError
from runs.atomic import atomic_file
from runs.content import contents
from runs.job import Job, NoRecord, OnEpoch
from runs.remote import QUEUED, Machine, records, run_path
from runs.remote.calls import Outcome, log_lines, outcome_of
from runs.remote.container import END, EVENT
from runs.remote.faults import import_modal, sentences
from runs.remote.launch import launch
from runs.remote.records import CALL_ID, KEY, SENTENCE, Damaged, Done, Note, parsed
from runs.remote.volume import Volume
from runs.text import shown

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
        done = volume.read(job.key, "done.json", records.done)
        if done is None:
            try:
                done = _train(job, machine, volume, on_epoch)
            except KeyboardInterrupt:
                if state_path(job.key).exists():
                    print(
                        f"\nrun {job.key[:12]} goes on without this machine; the same command attaches to it again, "
                        f"`python -m runs stop {job.key[:12]}` stops it",
                        flush=True,
                    )
                raise
        else:
            print(f"run {job.key[:12]} is done: only its outputs are fetched", flush=True)
        if job.outputs is not None and done.files.keys() != job.outputs:
            raise RunError(
                f"run {job.key[:12]} on Modal lists the outputs {shown(', '.join(done.files), SENTENCE)}, but leaves "
                f"{', '.join(sorted(job.outputs))}: `python -m runs clean {job.key[:12]}` removes it, then train again"
            )
        volume.download(job.key, done.files, "output", output)
        stop_apps(notes(job.key, volume))
        forget(job.key, volume)
        return done.result, done.gpu


def _train(job: Job, machine: Machine, volume: Volume, on_epoch: OnEpoch) -> Done:
    """Attaches or starts, follows to the end; done.json."""
    calls = Followed(on_epoch)
    former = notes(job.key, volume)
    call_id = running_call(former)
    if call_id is not None:
        print(f"run {job.key[:12]} is under way: attaching to it", flush=True)
    else:
        stop_apps(former)  # of a call that was lost between the two notes, or that failed
        state_path(job.key).unlink(missing_ok=True)
        started = _start(job, machine, volume)
        if isinstance(started, Done):
            return started
        call_id = started
        print(f"run {job.key[:12]} started on Modal ({machine.gpu or 'CPU'})", flush=True)
    outcome = calls.follow(call_id)
    while CALL_ID.fullmatch(other := outcome.answer("other")):  # somebody else was first
        print(f"run {job.key[:12]} is under way elsewhere: attaching to it", flush=True)
        outcome = calls.follow(other)
    if error := outcome.answer("error"):
        raise RunError(shown(error, SENTENCE))
    done = volume.read(job.key, "done.json", records.done)
    if done is None:
        how = ": ".join(filter(None, (outcome.state, outcome.says)))
        raise RunError(
            f"run {job.key[:12]} on Modal is over without a result ({how}; `python -m runs logs {job.key[:12]}` "
            "shows its log): the same command goes on from the newest checkpoint"
        )
    return done


def _start(job: Job, machine: Machine, volume: Volume) -> str | Done:
    """Uploads what is missing and starts the call: its id. done.json if somebody else's run ended meanwhile."""
    found = contents(job.inputs)

    def note(app_id: str | None, call_id: str | None) -> Note:
        return Note(call_id=call_id, app_id=app_id, label=job.label, gpu=machine.gpu)

    # Pieces are kept for runs that have a note: from before they are there until the call is over.
    volume.write(job.key, QUEUED, note(None, None))
    try:
        sent = volume.upload(job.inputs, found)
        print(
            f"inputs: {sent / 1e6:,.1f} MB uploaded" if sent else "inputs: already on the Volume", flush=True
        )
        done = volume.read(job.key, "done.json", records.done)
        if done is not None:
            return done
        app_id, call_id = launch(job, machine, found, volume, lambda *ids: _keep(job.key, note(*ids)))
    except BaseException:
        if not state_path(job.key).exists():  # nothing was started
            volume.remove(run_path(job.key, QUEUED))
        raise
    volume.write(job.key, QUEUED, note(app_id, call_id))
    return call_id


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
            print(shown(line), flush=True)
            return
        try:
            # The record comes again with the result.
            record = parsed(
                line.removeprefix(EVENT), records.record, "an epoch's record in the log", "it is left out"
            )
            if record["epoch"] > self.epochs:
                self.on_epoch(record)
                self.epochs = record["epoch"]
        except (Damaged, NoRecord) as error:
            warn(error)


def notes(key: str, volume: Volume, certain: bool = False) -> list[Note]:
    """What is known of the run's calls: the local note, the one of the client that queued it, and the container's.

    A damaged one is left out, with a warning; Damaged if the answer must be `certain`.
    """
    found = []
    for read in (lambda: state(key), *(_reader(volume, key, name) for name in (QUEUED, "call.json"))):
        try:
            found.append(read())
        except Damaged as error:
            if certain:
                raise
            warn(error)
    return [note for note in found if note is not None]


def _reader(volume: Volume, key: str, name: str) -> Callable[[], Note | None]:
    return lambda: volume.read(key, name, records.note)


def warn(error: RunError) -> None:
    print(f"warning: {shown(str(error))}", file=sys.stderr, flush=True)


def running_call(notes: list[Note]) -> str | None:
    """The id of the first call that is under way, or waits for a container."""
    calls = [note.call_id for note in notes if note.call_id is not None]
    return next((call_id for call_id in calls if outcome_of(call_id).state == "running"), None)


def stop_apps(notes: list[Note]) -> None:
    """Stops the apps of the notes, and with them whatever still runs in them."""
    modal = import_modal()
    for app_id in {note.app_id for note in notes if note.app_id is not None}:
        try:
            modal.App.lookup(app_id).stop()
        except modal.exception.NotFoundError:
            continue  # Modal forgets apps some time after they end


def state_path(key: str) -> Path:
    """The local note of a run's ids."""
    return STATES / f"{key}.json"


def state(key: str) -> Note | None:
    """The local note, if there is one."""
    path = state_path(key)
    if not path.exists():
        return None
    return parsed(
        path.read_bytes(), records.note, str(path), "remove it; the Volume knows the run's call, too"
    )


def forget(key: str, volume: Volume) -> None:
    """Removes the notes of a run that is over, but for the container's, which says where its log is."""
    state_path(key).unlink(missing_ok=True)
    volume.remove(run_path(key, QUEUED))


def known_runs(volume: Volume) -> list[str]:
    """Keys of the runs on the Volume and of those of which there is only a local note."""
    noted = (path.stem for path in STATES.glob("*.json"))
    return sorted({*volume.runs(), *(key for key in noted if KEY.fullmatch(key))})


def _keep(key: str, note: Note) -> None:
    """Writes the local note."""
    with atomic_file(state_path(key)) as temporary:
        temporary.write_text(json.dumps(asdict(note)) + "\n")
