"""Writes the table of docs/performance.md from benchmarks/results.

python -m tools.performance
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS
from mabe.errors import InputError
from runs.atomic import atomic_file

PAGE = Path("docs/performance.md")
BEGIN, END = "<!-- table: make bench -->\n", "<!-- end of table -->"
HEAD = """| benchmark | measured | yardstick, in the same run | ratio | aim | floor |
|---|---|---|---|---|---|
"""
NOT_MEASURED = "not measured: no GPU was to be had"


def result(name: str) -> dict[str, Any] | None:
    """A benchmark's result; None if it was never measured."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def train(r: dict[str, Any]) -> tuple[str, ...]:
    rate = r["matmul_gflops"][r["precision"]]
    return (
        f"{r['ms_per_window']} ms a window of batch 384 ({r['windows_per_second']:.0f} windows/s), "
        f"{r['ms_per_window_at_batch_64']} ms of batch 64, {r['ms_per_window_in_float32']} ms in float32",
        f"plain loop: {r['plain_ms_per_window']} ms",
        f"{r['ratio']} x",
        f"{r['gflop_per_window'] / rate * 1e3:.1f} ms: {r['gflop_per_window']} GFLOP at the {rate:,.0f} GFLOP/s of "
        f"a large {r['precision']} matrix product; 0.06 MB of float16 gathered",
    )


def epoch(r: dict[str, Any]) -> tuple[str, ...]:
    seconds = r["epoch_seconds"]
    how = f" (from {r['windows_run']:,} windows)" if r["extrapolated"] else ""
    gb = (r["windows"] * 100 + r["val_windows"] * 100) * 288 * 2 / 1e9
    return (
        f"{seconds:,.1f} s{how}, {r['steps_per_second']} steps/s, {r['tflops']:.2f} TFLOP/s",
        f"its arithmetic as matrix products: {r['tflop_per_epoch'] / r['matmul_tflops']:,.1f} s",
        f"{r['ratio']} x",
        f"{r['tflop_per_epoch']} TFLOP at {r['matmul_tflops']:.2f} TFLOP/s; {gb:.1f} GB of float16 windows gathered",
    )


def prepare(r: dict[str, Any]) -> tuple[str, ...]:
    memory, slope = r["peak_memory_mb"], r["seconds_per_million_frames"]
    return (
        f"{r['videos']} videos, {r['frames'] / 1e6:.2f} M frames in {r['seconds']['seconds']:.1f} s "
        f"({r['frames_per_second']:,} frames/s); half of them {slope['half']:.2f} s, all {slope['all']:.2f} s per M "
        f"frames; {memory['half']} and {memory['all']} MB at most; 21.35 M frames: "
        f"{r['seconds_for_21.35_million_frames']:.0f} s, extrapolated",
        f"floor: {r['floor_seconds']:.1f} s; pandas: {r['pandas_frames_per_second']:,} frames/s",
        f"{r['ratio_to_pandas']} x pandas, {r['ratio_to_floor']} x the floor's time",
        f"{r['floor_seconds']:.1f} s: pyarrow on all cores reads {r['bytes_read'] / 1e9:.2f} GB and writes "
        f"{r['floor_bytes_written'] / 1e9:.2f} GB of features; we write "
        f"{r['bytes_written'] / 1e9:.2f} GB with the store",
    )


def score(r: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{r['bouts']:,} bouts in {r['seconds'] * 1e3:.0f} ms",
        f"sets of frames: {r['plain_seconds']:.2f} s",
        f"{r['ratio']} x",
        f"{r['bouts'] * 8 * 6 / 1e6:.1f} MB of codes and frame numbers, read and sorted",
    )


def noop(r: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{r['seconds']} s, {r['stages']} stages",
        f"`{r['floor']}`: {r['floor_seconds']} s",
        f"{r['ratio']} x",
        f"{r['floor_seconds']} s: any dvc command that reads dvc.yaml",
    )


def video(r: dict[str, Any]) -> tuple[str, ...]:
    short, long = r["memory_frames"]
    return (
        f"training step {r['step_seconds']:.2f} s ({r['batch']} x {r['frames']} frames of {r['side']}²), encode "
        f"{r['encode_fps']} frames/s, decode {r['decode_fps']}; streaming {r['peak_memory_mb'][0]:.0f} MB at {short} "
        f"frames, {r['peak_memory_mb'][1]:.0f} at {long}",
        f"frame by frame in float32: {r['plain_step_seconds']:.2f} s, {r['plain_encode_fps']} frames/s, "
        f"{r['plain_decode_fps']}",
        f"{r['ratio']} x, {r['ratio_encode']} x, {r['ratio_decode']} x",
        "",
    )


def beside(r: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"two trainings of V5 side by side: {r['beside_seconds']} s, one alone {r['alone_seconds']} s",
        f"threads that spin while they wait: {r['spinning_beside_seconds']} s, "
        f"{r['spinning_alone_seconds']} s ({r['ratio_spinning']} x); alone, ours take {r['ratio_alone']} of theirs",
        f"{r['ratio']} x",
        "",
    )


ROWS = (
    ("train", "`train`, CPU", train, "2 x or more"),
    ("train_gpu", "`train`, GPU", train, "8 x or more"),
    ("epoch", "`epoch`, CPU", epoch, "none"),
    ("epoch_gpu", "`epoch`, GPU", epoch, "5 s at most"),
    ("prepare", "`prepare`", prepare, "5 x pandas, 2 x the floor, 1.5 GB"),
    ("score", "`score`", score, "20 x or more"),
    ("noop", "`noop`", noop, "2.5 s at most"),
    ("beside", "`beside`, CPU", beside, "1.6 x at most"),
    ("video", "`video`, CPU", video, "2 x or more each"),
    ("video_gpu", "`video`, GPU", video, "2 x or more each"),
)


def table() -> str:
    lines = HEAD
    for name, title, cells, aim in ROWS:
        r = result(name)
        if r is None:
            missing = NOT_MEASURED if name.endswith("_gpu") else "not measured"
            lines += row(title, missing, "", "", aim, "")
            continue
        measured, yardstick, ratio, floor = cells(r)
        lines += row(title, measured, yardstick, ratio, aim, floor)
    return lines


def machines() -> str:
    """What the figures were measured on."""
    lines = ""
    for name, *_ in ROWS:
        r = result(name)
        if r is not None:
            m = r["machine"]
            lines += (
                f"- `{name}`: {r['date']}, {m['device']}, {m['cores']} cores, {m['memory_gb']} GB, {m['system']}, "
                f"Python {m['python']}, torch {m['torch']}\n"
            )
    return lines


def shares() -> str:
    """Where the time of a training step goes, by part of the work."""
    lines = ""
    for name in ("epoch", "epoch_gpu"):
        r = result(name)
        if r is not None:
            parts = ", ".join(
                f"{part} {share:.1%}" for part, share in r["shares_of_time"].items() if share >= 0.001
            )
            lines += f"- where the time of `{name}` goes: {parts}\n"
    return lines


def measured() -> str:
    """All that the page shows of the results."""
    return table() + "\n" + machines() + shares()


def main() -> None:
    text = PAGE.read_text()
    if BEGIN not in text or END not in text:
        raise InputError(f"{PAGE} has lost the marks around its table: restore the file")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    with atomic_file(PAGE) as temporary:
        temporary.write_text(before + BEGIN + measured() + END + after)


if __name__ == "__main__":
    main()
