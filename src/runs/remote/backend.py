"""Runs in Modal containers: attaches to one, starts it, or only downloads it, whichever it needs; and looks after them.

What is damaged on the Volume is said on stderr, refused where it is needed, and holds up no other run.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from runs import RunError
from runs.atomic import atomic_file
from runs.content import Content, contents
from runs.cost import price_of_modal
from runs.job import Job, OnRecord
from runs.parameters import MachineParams
from runs.remote import INPUTS, QUEUED, records, run_path
from runs.remote.calls import END, EVENT, Followed, answers, await_saved, log_lines, outcome_of, warn
from runs.remote.faults import import_modal, sentences
from runs.remote.launch import launch
from runs.remote.records import CALL_ID, KEY, SENTENCE, Damaged, Done, Note, parsed
from runs.remote.volume import Volume
from runs.text import shown

T = TypeVar("T")
STATES = Path(".runs/modal")
DAMAGED = "damaged"
WIDTH = 24  # characters of a label or a GPU's name that `status` shows


class Modal:
    """machine: what a container gets. prices: USD per hour by GPU; RunError if they do not list the machine's.

    Both are needed to carry out a job, and for nothing else.
    """

    name = "modal"

    def __init__(
        self, machine: MachineParams | None = None, prices: Mapping[str, float] | None = None
    ) -> None:
        self.machine, self.prices = machine, dict(prices or {})
        if machine is not None:
            price_of_modal(machine.gpu, self.prices)

    @cached_property
    def volume(self) -> Volume:
        return Volume()

    @sentences()
    def begin(self, job: Job) -> None:
        done = self.volume.read(job.key, "done.json", records.done)
        former = self._notes(job.key)
        if done is None and running_call(former) is None:
            self._start_anew(job, former)

    @sentences()
    def carry_out(self, job: Job, output: Path, on_record: OnRecord) -> tuple[dict[str, Any], float | None]:
        """KeyboardInterrupt leaves the run alive."""
        done = self.volume.read(job.key, "done.json", records.done)
        if done is None:
            try:
                done = self._train(job, on_record)
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
        if job.outputs is not None and {name.split("/")[0] for name in done.files} != job.outputs:
            raise RunError(
                f"run {job.key[:12]} on Modal lists the outputs {shown(', '.join(done.files), SENTENCE)}, but leaves "
                f"{', '.join(sorted(job.outputs))}: `python -m runs clean {job.key[:12]}` removes it, then train again"
            )
        self.volume.download(job.key, done.files, "output", output)
        stop_apps(self._notes(job.key))
        self._forget(job.key)
        return done.result, price_of_modal(done.gpu, self.prices)  # an earlier run may have had another GPU

    def _train(self, job: Job, on_record: OnRecord) -> Done:
        """Attaches or starts, follows to the end; done.json."""
        followed = Followed(on_record)
        former = self._notes(job.key)
        call_id = running_call(former)
        if call_id is not None:
            print(f"run {job.key[:12]} is under way: attaching to it", flush=True)
        else:
            started = self._start_anew(job, former)
            if isinstance(started, Done):
                return started
            call_id = started
        outcome = followed.follow(call_id)
        while CALL_ID.fullmatch(other := outcome.answer("other")):  # somebody else was first
            print(f"run {job.key[:12]} is under way elsewhere: attaching to it", flush=True)
            outcome = followed.follow(other)
        if error := outcome.answer("error"):
            raise RunError(shown(error, SENTENCE))
        done = self.volume.read(job.key, "done.json", records.done)
        if done is None:
            how = ": ".join(filter(None, (outcome.state, outcome.says)))
            raise RunError(
                f"run {job.key[:12]} on Modal is over without a result ({how}; `python -m runs logs {job.key[:12]}` "
                "shows its log): the same command goes on from the newest checkpoint"
            )
        return done

    def _start_anew(self, job: Job, former: list[Note]) -> str | Done:
        """As `_start`, where none of the calls that are known is under way."""
        stop_apps(former)  # of a call that was lost between the two notes, or that failed
        state_path(job.key).unlink(missing_ok=True)
        return self._start(job)

    def _start(self, job: Job) -> str | Done:
        """Uploads what is missing and starts the call: its id. done.json if somebody else's run ended meanwhile."""
        assert self.machine is not None
        gpu, known = self.machine.gpu, contents(job.inputs)

        def note(app_id: str | None, call_id: str | None) -> Note:
            return Note(call_id=call_id, app_id=app_id, label=job.label, gpu=gpu)

        def keep(app_id: str, call_id: str | None) -> None:
            with atomic_file(state_path(job.key)) as temporary:
                temporary.write_bytes(records.note.dump_json(note(app_id, call_id)))

        # Inputs are kept for runs that have a note: from before they are there until the call is over.
        self.volume.write(job.key, QUEUED, note(None, None))
        try:
            self.volume.upload(job.inputs, known)
            done = self.volume.read(job.key, "done.json", records.done)
            if done is not None:
                return done
            app_id, call_id = launch(job, self.machine, known, self.volume, keep)
        except BaseException:
            if not state_path(job.key).exists():  # nothing was started
                self.volume.remove(run_path(job.key, QUEUED))
            raise
        self.volume.write(job.key, QUEUED, note(app_id, call_id))
        print(f"run {job.key[:12]} started on Modal ({gpu or 'CPU'})", flush=True)
        return call_id

    def _notes(self, key: str, certain: bool = False) -> list[Note]:
        """What is known of the run's calls: the local note, the one of the client that queued it, the container's.

        A damaged one is left out, with a warning; Damaged if the answer must be `certain`.
        """
        found = []
        for name in (None, QUEUED, "call.json"):
            try:
                found.append(state(key) if name is None else self.volume.read(key, name, records.note))
            except Damaged as error:
                if certain:
                    raise
                warn(error)
        return [note for note in found if note is not None]

    def _forget(self, key: str) -> None:
        """Removes the notes of a run that is over, but for the container's, which says where its log is."""
        state_path(key).unlink(missing_ok=True)
        self.volume.remove(run_path(key, QUEUED))

    @sentences()
    def runs(self) -> list[str]:
        """Those on the Volume and those of which there is only a local note."""
        noted = (path.stem for path in STATES.glob("*.json"))
        return sorted({*self.volume.runs(), *(key for key in noted if KEY.fullmatch(key))})

    @sentences()
    def status(self) -> None:
        for key in self.runs():
            known = self._notes(key)
            newest = attempt(lambda key: next(reversed(self._checkpoints(key)), "-"), key)
            state = attempt(self._state, key, known)
            label, gpu = (known[-1].label, known[-1].gpu or "CPU") if known else ("-", "-")
            print(f"{key[:12]}  {shown(label, WIDTH):10s}  {state:11s}  {newest:14s}  {shown(gpu, WIDTH)}")

    def _state(self, key: str, known: list[Note]) -> str:
        """done, running, queued (no container yet), not started, or how the newest call ended."""
        if self._done(key):
            return "done"
        if running_call(known) is not None:
            return "running" if self.volume.read(key, "call.json", records.note) else "queued"
        calls = calls_of(known)
        if not calls:
            return "not started"
        how = outcome_of(calls[-1]).state
        return "failed" if how == "ended" else how  # without done.json

    def _done(self, key: str) -> bool:
        return self.volume.read(key, "done.json", records.done) is not None

    @sentences()
    def logs(self, key: str, follow: bool) -> None:
        """Of the run's newest call."""
        calls = calls_of(self._notes(key)) or calls_of(self._notes(key, certain=True))
        if not calls:
            raise RunError(f"run {key[:12]} has not been started: its log is empty")
        for _, line in log_lines(calls[-1], follow):
            if line != END and not line.startswith(EVENT):
                print(shown(line), flush=True)

    def _checkpoints(self, key: str) -> dict[str, dict[str, Content]]:
        """The files of each of a run's checkpoints, oldest first."""
        found: dict[str, dict[str, Content]] = {}
        for name, facts in (self.volume.read(key, "checkpoints.json", records.checkpoints) or {}).items():
            found.setdefault(name.split("/")[0], {})[name] = facts
        return found

    @sentences()
    def checkpoints(self, key: str) -> None:
        """With their SHA-256, where they are one file."""
        prefix = run_path(key, "checkpoints/")
        entries = {p.removeprefix(prefix): e for p, e in self.volume.files(prefix).items()}
        known = self._checkpoints(key)
        for checkpoint, files in known.items():
            times = [entries[name].mtime for name in files if name in entries]
            time = datetime.fromtimestamp(max(times)).strftime("%Y-%m-%d %H:%M:%S") if times else "-"
            size = sum(facts.size for facts in files.values())
            what = files[checkpoint].sha256 if checkpoint in files else f"{len(files)} files"
            print(f"{checkpoint}  {size / 1e6:8.1f} MB  {time}  {what}")
        if not known:
            print(f"run {key[:12]} has no checkpoint yet")

    @sentences()
    def fetch(self, key: str, name: str | None, output: bool, to: Path) -> None:
        if output:
            done = self.volume.read(key, "done.json", records.done)
            if done is None:
                raise RunError(
                    f"run {key[:12]} is not done: `python -m runs checkpoints {key[:12]}` lists what there is"
                )
            files, folder = done.files, "output"
        else:
            known = self._checkpoints(key)
            if not known or (name is not None and name not in known):
                raise RunError(
                    f"run {key[:12]} has no checkpoint {name or ''}: it has {', '.join(known) or 'none'}"
                )
            files, folder = known[name or next(reversed(known))], "checkpoints"
        self.volume.download(key, files, folder, to)
        for name in files:
            print(to / name)

    @sentences()
    def stop(self, key: str) -> None:
        """Cancels the run's call and stops its app. A run that has finished keeps its result."""
        known = self._notes(key, certain=True)
        call_id = running_call(known)
        if call_id is None:
            print(f"run {key[:12]} is not under way")
        else:
            earlier, _ = answers(call_id)  # of attempts that were preempted
            import_modal().FunctionCall.from_id(call_id).cancel()
            container = self.volume.read(key, "call.json", records.note)
            if container is not None and container.call_id == call_id:  # it has one
                await_saved(call_id, earlier)
        stop_apps(known)
        self._forget(key)
        if call_id is not None and not self._done(key):
            print(f"run {key[:12]} is stopped; `dvc repro` goes on from its newest checkpoint")
        elif call_id is not None:
            print(f"run {key[:12]} had finished before it could be stopped; `dvc repro` downloads it")

    @sentences()
    def clean(self, keys: list[str], inputs: bool) -> None:
        """Removes runs, all files of theirs: `keys`, or the finished ones.

        With `inputs` the input files, which come back when needed, and of the runs only `keys`. A run that is under
        way keeps both, one that is being started the inputs. What is damaged is left out, if it is not named.
        """
        known = self.runs()
        chosen = keys
        if not keys and not inputs:
            chosen = [key for key in known if attempt(self._done, key) is True]
        for key in known if inputs else chosen:
            told = self._notes(key, certain=key in keys or inputs)
            if running_call(told) is not None:
                raise RunError(f"run {key[:12]} is under way: `python -m runs stop {key[:12]}` first")
            if inputs and any(note.call_id is None for note in told) and not self._done(key):
                raise RunError(
                    f"run {key[:12]} is being started, or its start broke off: wait, or `python -m runs stop "
                    f"{key[:12]}` first"
                )
        for key in chosen:
            stop_apps(self._notes(key))
            self.volume.remove(run_path(key))
            state_path(key).unlink(missing_ok=True)
            print(f"removed run {key[:12]}")
        if inputs:
            self.volume.remove(INPUTS)
            print("removed the input files")


def attempt(look: Callable[..., T], *arguments: Any) -> T | str:
    """What `look` returns; the word for what is damaged, with a warning, if it is."""
    try:
        return look(*arguments)
    except Damaged as error:
        warn(error)
        return DAMAGED


def calls_of(notes: list[Note]) -> list[str]:
    return [note.call_id for note in notes if note.call_id is not None]


def running_call(notes: list[Note]) -> str | None:
    """The id of the first call that is under way, or waits for a container."""
    return next((call_id for call_id in calls_of(notes) if outcome_of(call_id).state == "running"), None)


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
