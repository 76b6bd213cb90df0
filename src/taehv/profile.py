"""torch's profiler over a few steps of a run: a trace for a viewer, and a table of what took the time."""

from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, schedule

WAIT, WARMUP, ACTIVE = 1, 1, 3  # steps left out, run but thrown away, and recorded
ROWS = 25


class Profile:
    """Records steps 3 to 5 into trace.json and profile.txt of `directory`, and prints the table; None does nothing.

    trace.json opens in chrome://tracing or ui.perfetto.dev.
    """

    def __init__(self, directory: Path | None, device: torch.device) -> None:
        self.directory = directory
        self.device = device
        self.steps = 0
        self.profiler: Any = None

    def __enter__(self) -> "Profile":
        if self.directory is not None:
            activities = [ProfilerActivity.CPU]
            if self.device.type == "cuda":
                activities.append(ProfilerActivity.CUDA)
            self.profiler = profile(
                activities=activities,
                schedule=schedule(wait=WAIT, warmup=WARMUP, active=ACTIVE, repeat=1),
                on_trace_ready=self._write,
            )
            self.profiler.start()
        return self

    def step(self) -> None:
        """Ends a step."""
        if self.profiler is not None:
            self.steps += 1
            self.profiler.step()
            if self.steps == WAIT + WARMUP + ACTIVE:
                self._stop()

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def _stop(self) -> None:
        if self.profiler is not None:
            self.profiler.stop()
            self.profiler = None

    def _write(self, profiler: Any) -> None:
        assert self.directory is not None
        order = "self_cuda_time_total" if self.device.type == "cuda" else "self_cpu_time_total"
        table = profiler.key_averages().table(sort_by=order, row_limit=ROWS)
        profiler.export_chrome_trace(str(self.directory / "trace.json"))
        (self.directory / "profile.txt").write_text(table)
        print(
            f"{table}\ntrace of {self.steps - WAIT - WARMUP} steps: {self.directory / 'trace.json'}",
            flush=True,
        )
