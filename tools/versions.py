"""The six versions side by side: run them, keep their records in Git, compare them without training.

    python -m tools.versions run --set sample          dvc exp run for V1-V6, each recorded when it ends
    python -m tools.versions run --compute modal       the same, all at once, each in a Modal container of its own
    python -m tools.versions table                     docs/versions.md from the records
    python -m tools.versions tags                      a local git tag per record: sample-v1 ... sample-v6

A record is metrics/versions/<set>/<version>/ with the params.yaml, dvc.lock, metrics and details of that run. A tag
points to a commit made of HEAD with all of these but the details in their places, so `dvc params diff sample-v5
sample-v6`, `dvc metrics diff` and `dvc exp show -T` work from a plain clone.
"""

import argparse
import shutil
import subprocess
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from mabe import params
from mabe.errors import InputError
from runs.atomic import atomic_dir, atomic_file
from stages.common import DETAILS, METRICS, read_json, run
from tools.commands import output

VERSIONS = ("v1", "v2", "v3", "v4", "v5", "v6")
RECORDS = METRICS / "versions"
FILES = (Path("params.yaml"), Path("dvc.lock"), METRICS / "train.json", METRICS / "evaluate.json")
"""What Git tracks of a run."""
DETAILED = (DETAILS / "train.json", DETAILS / "evaluate.json")
"""What DVC's cache holds of it and the page needs."""
PAGE = Path("docs/versions.md")
BEGIN, END = "<!-- records of {set}: begin -->", "<!-- records of {set}: end -->"


def run_versions(name: str, versions: list[str], overrides: list[str]) -> None:
    """Runs versions as DVC experiments named <set>-<version> and records each as it ends.

    Every experiment leaves its params.yaml, dvc.lock and metrics in the workspace; at the end, or when one fails,
    those from before are put back.
    """
    before = {file: file.read_bytes() if file.exists() else None for file in FILES}
    try:
        for version in versions:
            experiment = f"{name}-{version}"
            _forget(name, [version])
            print(f"\n{experiment}", flush=True)
            done = subprocess.run(_exp_run(experiment, version, overrides))
            if done.returncode:
                raise InputError(
                    f"dvc exp run of {experiment} failed, see above: those before it are recorded"
                )
            record(name, version)
    finally:
        for file, content in before.items():
            file.unlink(missing_ok=True)
            if content is not None:
                file.write_bytes(content)


def run_together(name: str, versions: list[str], overrides: list[str], jobs: int) -> None:
    """Runs up to `jobs` versions at once, as experiments in temporary copies, and records each as it ends.

    The work is elsewhere, so that one machine can wait for many runs. The workspace stays as it is.
    """
    _forget(name, versions)

    # DVC sets up one experiment at a time and refuses another meanwhile.
    setting_up = threading.Semaphore()

    def one(version: str) -> bool:
        """Whether it ended well. Its lines come with its name in front."""
        command = _exp_run(f"{name}-{version}", version, overrides, "--temp")
        setting_up.acquire()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert process.stdout is not None
        waiting = True
        for line in process.stdout:
            if waiting and "tage '" in line:  # "Stage 'x' ...", "Running stage 'x'": it is set up
                setting_up.release()
                waiting = False
            print(f"{version}  {line}", end="", flush=True)
        if waiting:
            setting_up.release()
        if process.wait():
            return False
        print(f"{version}  recorded: macro-F1 {record_experiment(name, version):.4f}", flush=True)
        return True

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        failed = [v for v, well in zip(versions, pool.map(one, versions), strict=True) if not well]
    if failed:
        raise InputError(f"{', '.join(failed)} failed, see above: the others are recorded")


def record_experiment(name: str, version: str) -> float:
    """Records a version from the commit of its experiment, which hangs on HEAD; its macro-F1."""
    head = _git("rev-parse", "HEAD")
    commit = f"refs/exps/{head[:2]}/{head[2:]}/{name}-{version}"
    with atomic_dir(RECORDS / name / version) as temporary:
        for file in FILES:
            (temporary / file.parent).mkdir(parents=True, exist_ok=True)
            (temporary / file).write_text(_git("show", f"{commit}:{file}") + "\n")
        (temporary / DETAILS).mkdir()
        for file in DETAILED:
            _dvc("get", ".", str(file), "--rev", commit, "--out", str(temporary / file))
    return read_json(RECORDS / name / version / METRICS / "evaluate.json")["f1_macro"]


def _forget(name: str, versions: list[str]) -> None:
    """Removes former experiments of the names <set>-<version>."""
    there = set(_dvc("exp", "list", "--name-only").split())
    former = sorted(there & {f"{name}-{version}" for version in versions})
    if former:
        _dvc("exp", "remove", *former)


def _exp_run(experiment: str, version: str, overrides: list[str], *options: str) -> list[str]:
    settings = [x for override in (f"version={version}", *overrides) for x in ("-S", override)]
    return ["dvc", "exp", "run", "--name", experiment, *options, *settings]


def record(name: str, version: str) -> None:
    """Copies the workspace's parameters and metrics into the record of a version."""
    with atomic_dir(RECORDS / name / version) as temporary:
        for file in (*FILES, *DETAILED):
            (temporary / file.parent).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, temporary / file)


def recorded() -> list[Path]:
    """The records in the repository, by set and version."""
    return sorted(p for p in RECORDS.glob("*/v*") if p.is_dir())


def tag_all() -> None:
    """A local tag for every record. Nothing in the working tree or the index changes."""
    head = _git("rev-parse", "HEAD")
    date = _git("show", "-s", "--format=%cI", "HEAD")
    names = []
    for directory in recorded():
        name = f"{directory.parent.name}-{directory.name}"
        with tempfile.TemporaryDirectory() as folder:
            environment = {
                "GIT_INDEX_FILE": str(Path(folder) / "index"),
                **dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), date),
                **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "versions"),
                **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "versions@localhost"),
            }
            _git("read-tree", head, **environment)
            for file in FILES:
                blob = _git("hash-object", "-w", str(directory / file))
                _git("update-index", "--add", "--cacheinfo", f"100644,{blob},{file}", **environment)
            tree = _git("write-tree", **environment)
            commit = _git("commit-tree", tree, "-p", head, "-m", f"Record of {name}", **environment)
        _git("tag", "--force", name, commit)
        names.append(name)
    print(f"tags of the recorded versions: {', '.join(names)}")


def write_table() -> None:
    """Replaces the tables between the markers of docs/versions.md."""
    page = PAGE.read_text()
    for directory in sorted({d.parent for d in recorded()}):
        begin, end = (marker.format(set=directory.name) for marker in (BEGIN, END))
        if begin not in page or end not in page:
            raise InputError(f"{PAGE} lacks the lines {begin!r} and {end!r}, between which the table goes")
        before, rest = page.split(begin, 1)
        page = f"{before}{begin}\n{_table(directory)}\n{end}{rest.split(end, 1)[1]}"
    with atomic_file(PAGE) as temporary:
        temporary.write_text(page)
    print(f"wrote {PAGE}")


def _table(directory: Path) -> str:
    """Markdown: what differs between the versions of one set, then what came of it."""
    versions = sorted(p for p in directory.iterdir() if p.is_dir())
    values = [params.read(v / "params.yaml") for v in versions]
    metrics = [
        (read_json(v / DETAILS / "train.json"), read_json(v / DETAILS / "evaluate.json")) for v in versions
    ]
    header = ["", *(v.name.upper() for v in versions)]
    differing = [k for k in values[0] if k != "version" and any(v[k] != values[0][k] for v in values)]
    rows = [[f"`{k}`", *(_text(v[k]) for v in values)] for k in differing]
    classes = list(metrics[0][1]["per_class"])
    results: list[list[str]] = [
        ["**macro-F1**", *(f"**{e['f1_macro']:.3f}**" for _, e in metrics)],
        ["accuracy", *(f"{e['accuracy']:.3f}" for _, e in metrics)],
        *([f"F1 {c}", *(f"{e['per_class'][c]['f1']:.3f}" for _, e in metrics)] for c in classes),
        ["bout F1 at IoU 0.5", *(f"{e['segment_f1']['0.5']:.3f}" for _, e in metrics)],
        ["mabe_f", *(f"{e['mabe_f']:.3f}" for _, e in metrics)],
        ["best epoch / epochs run", *(f"{t['best_epoch']} / {t['epochs_run']}" for t, _ in metrics)],
        ["training time (s)", *(f"{t['seconds']:.0f}" for t, _ in metrics)],
        ["windows/s", *(f"{t['windows_per_second']:.0f}" for t, _ in metrics)],
        ["cost (USD)", *(f"{t['cost_usd']:.4f}" if "cost_usd" in t else "-" for t, _ in metrics)],
        ["weights", *(f"{t['parameters']:,}" for t, _ in metrics)],
        ["precision", *(t["precision"] for t, _ in metrics)],
    ]
    findings = directory / "findings.yaml"  # written by hand: {v1: what it showed, ...}
    lessons = yaml.safe_load(findings.read_text()) if findings.exists() else {}
    devices = ", ".join(sorted({t["device"] for t, _ in metrics}))
    return "\n".join(
        [
            "",
            _markdown(header, results),
            "",
            *(f"- **{v.name.upper()}** {lessons[v.name]}" for v in versions if v.name in lessons),
            "",
            f"Trained on: {devices}. Parameters that differ:",
            "",
            _markdown(header, rows),
            "",
        ]
    )


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list):
        return ", ".join(_text(v) for v in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _git(*arguments: str, **environment: str) -> str:
    return output("git", *arguments, **environment)


def _dvc(*arguments: str) -> str:
    return output("dvc", *arguments)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.versions", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    runner = commands.add_parser("run", help="run versions as DVC experiments and record them")
    runner.add_argument("--set", default="sample", help="name of the set of records (default: sample)")
    runner.add_argument("--versions", default=",".join(VERSIONS), help="which, separated by commas")
    runner.add_argument("--compute", default="local", help="where: local (default) or modal")
    runner.add_argument("--jobs", type=int, default=6, help="runs at once on Modal (default: 6)")
    runner.add_argument(
        "-S", dest="overrides", action="append", default=[], help="further key=value overrides"
    )
    commands.add_parser("table", help="write docs/versions.md from the records")
    commands.add_parser("tags", help="make a local git tag of each record")
    arguments = parser.parse_args()
    if arguments.command == "run":
        overrides = (
            [f"data={arguments.set}"] if not any(o.startswith("data=") for o in arguments.overrides) else []
        )
        overrides += [f"compute={arguments.compute}", *arguments.overrides]
        versions = arguments.versions.split(",")
        if arguments.compute == "local":
            run_versions(arguments.set, versions, overrides)
        else:
            run_together(arguments.set, versions, overrides, arguments.jobs)
    if arguments.command in ("run", "table"):
        write_table()
    if arguments.command == "tags":
        tag_all()


if __name__ == "__main__":
    run(main)
