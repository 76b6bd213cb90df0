"""Runs of this machine: in the process that asks for them, or in several that it starts."""

import json
import shutil
import signal
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from runs import RunError
from runs.atomic import atomic_dir, atomic_file
from runs.job import Job, OnRecord, call
from runs.text import CHECKPOINT, number_of

FOLDER = Path(".runs")
NOTE = "run.note.json"
"""In a run's folder: its label and the process that carries it out."""
GRACE = 60  # seconds for a run to save a checkpoint when it is stopped


class Local:
    """folder: has a folder of checkpoints for each run. prices: USD per hour by device, see `runs.cost`."""

    name = "local"

    def __init__(self, prices: Mapping[str, float] | None = None, folder: Path = FOLDER) -> None:
        self.prices, self.folder = prices, folder

    def begin(self, job: Job) -> None:
        """A run of this machine begins when it is carried out."""

    def carry_out(self, job: Job, output: Path, on_record: OnRecord) -> tuple[dict[str, Any], float | None]:
        price = None
        if self.prices is not None:
            from runs.cost import price_of
            from runs.hardware import choose_device, device_name  # torch, which no command needs

            device = choose_device(job.options.get("device", "auto"))
            price = price_of(device_name(device), device.type, dict(self.prices))
        me = psutil.Process()
        note = {"label": job.label, "pid": me.pid, "started": me.create_time()}
        with atomic_file(self.folder / job.key / NOTE) as temporary:
            temporary.write_text(json.dumps(note) + "\n")
        return call(job, self.folder / job.key, output, on_record=on_record), price

    def runs(self) -> list[str]:
        return sorted(path.parent.name for path in self.folder.glob(f"*/{NOTE}"))

    def status(self) -> None:
        for key in self.runs():
            newest = next(reversed(self._checkpoints(key)), None)
            label = json.loads((self.folder / key / NOTE).read_text())["label"]
            state = "running" if self._process(key) else "not running"
            print(f"{key[:12]}  {label:10s}  {state:11s}  {newest.name if newest else '-':14s}  local")

    def _process(self, key: str) -> psutil.Process | None:
        """The process that carries the run out; None if it has ended."""
        note = json.loads((self.folder / key / NOTE).read_text())
        try:
            process = psutil.Process(note["pid"])
            return process if process.create_time() == note["started"] else None
        except psutil.NoSuchProcess:
            return None

    def _checkpoints(self, key: str) -> list[Path]:
        """Oldest first."""
        found = [path for path in (self.folder / key).iterdir() if CHECKPOINT.fullmatch(path.name)]
        return sorted(found, key=lambda path: number_of(path.name))

    def logs(self, key: str, follow: bool) -> None:
        raise RunError(
            f"run {key[:12]} is of this machine: it prints to the terminal that started it, and keeps no log"
        )

    def checkpoints(self, key: str) -> None:
        for path in self._checkpoints(key):
            size = sum(p.stat().st_size for p in (path, *path.rglob("*")) if p.is_file())
            time = datetime.fromtimestamp(path.stat().st_mtime).strftime("%Y-%m-%d %H:%M:%S")
            print(f"{path.name}  {size / 1e6:8.1f} MB  {time}  {path}")

    def fetch(self, key: str, name: str | None, output: bool, to: Path) -> None:
        if output:
            raise RunError(f"run {key[:12]} is of this machine: its outputs are where its stage puts them")
        found = {path.name: path for path in self._checkpoints(key)}
        if not found or (name is not None and name not in found):
            raise RunError(
                f"run {key[:12]} has no checkpoint {name or ''}: it has {', '.join(found) or 'none'}"
            )
        path = found[name or next(reversed(found))]
        target = to / path.name
        if target.exists():
            raise RunError(f"{target} is there: remove it, or name another directory")
        if path.is_dir():
            with atomic_dir(target) as temporary:
                shutil.copytree(path, temporary, dirs_exist_ok=True)
        else:
            with atomic_file(target) as temporary:
                shutil.copyfile(path, temporary)
        print(target)

    def stop(self, key: str) -> None:
        process = self._process(key)
        if process is None:
            print(f"run {key[:12]} is not under way")
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(GRACE)
        except psutil.TimeoutExpired:
            raise RunError(
                f"run {key[:12]} (process {process.pid}) has not ended within {GRACE} s: stop it again"
            ) from None
        print(f"run {key[:12]} is stopped; `dvc repro` goes on from its newest checkpoint")

    def clean(self, keys: list[str], inputs: bool) -> None:
        """A finished run removes its own checkpoints: what is left is wanted, and is removed by its name alone."""
        for key in keys:
            if self._process(key) is not None:
                raise RunError(f"run {key[:12]} is under way: `python -m runs stop {key[:12]}` first")
            shutil.rmtree(self.folder / key)
            print(f"removed run {key[:12]}")
