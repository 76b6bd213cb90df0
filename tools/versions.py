"""The six versions side by side: run them, record each as a commit, compare them without training.

    python -m tools.versions run --set sample          V1-V6, each recorded as a commit of this branch
    python -m tools.versions run --compute modal       the same, all at once, each in a Modal container of its own
    python -m tools.versions tags                      a local git tag per record: sample-v1 ... sample-v6
    python -m tools.versions page                      docs/versions.md from the figures of the records

A record is a commit whose message ends with a line like `Record: sample-v5`. Its code, params.yaml, dvc.lock and
metrics belong together: they are of one run. `run` needs a working tree without changes, makes a commit for each
version, and then one with the parameters and results from before, the page, and the figures of the new records. The
figures (metrics/versions/<set>.json) are what the page and `make show` are made of, so that a clone without the
commits, because it is shallow or its history was squashed, has them too.
"""

import argparse
import json
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from string import Formatter
from typing import Any

import dvc.api
import yaml

from mabe.errors import InputError
from runs.atomic import atomic_file
from stages.common import DETAILS, METRICS, read_json, run, write_json
from tools.commands import output

VERSIONS = ("v1", "v2", "v3", "v4", "v5", "v6")
FILES = ("params.yaml", "dvc.lock", "metrics/train.json", "metrics/evaluate.json")
"""What Git tracks of a run."""
CODE = ("src", "stages", "conf")
TRAILER = "Record"
FIGURES = METRICS / "versions"
FINDINGS = FIGURES / "findings.yaml"
"""Written by hand: for each set and version, what it showed."""
PAGE = Path("docs/versions.md")
BEGIN, END = "<!-- records of {set}: begin -->", "<!-- records of {set}: end -->"

Figures = dict[str, dict[str, Any]]
"""Of a version: params, all of params.yaml; evaluate, metrics/evaluate.json; train, metrics/details/train.json."""


def run_versions(name: str, versions: list[str], overrides: list[str], jobs: int) -> None:
    """Runs versions as DVC experiments named <set>-<version> and records those that end well.

    jobs: how many at once; several are run in copies of the repository and have their work elsewhere.
    """
    base = _clean_commit()
    _forget(name, versions)
    with _put_back():
        ended = _each(name, versions, overrides) if jobs == 1 else _together(name, versions, overrides, jobs)
        recorded = {version: commit_record(name, version, base) for version in versions if version in ended}
        _commit_defaults(name, base, recorded)
    failed = [version for version in versions if version not in ended]
    if failed:
        raise InputError(f"{', '.join(failed)} failed, see above: the others are recorded")


def _clean_commit() -> str:
    """HEAD, of which every run is; InputError if there are changes or nobody could commit a record.

    The video pipeline, a project of its own, may have changed: no record holds its files.
    """
    tracked = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!video").splitlines()
    others = _git("ls-files", "--others", "--exclude-standard", "--", *CODE).splitlines()
    if tracked or others:
        raise InputError(
            "a record is a commit with the code that it was run with, so commit or remove first what "
            f"`git status` lists: {', '.join([line.split()[-1] for line in tracked] + others)}"
        )
    _git("var", "GIT_COMMITTER_IDENT")  # git says how to set it
    return _git("rev-parse", "HEAD")


@contextmanager
def _put_back() -> Iterator[None]:
    """Whatever happens, the workspace is as Git has it afterwards."""
    try:
        yield
    finally:
        _take(_git("rev-parse", "HEAD"))
        _dvc("checkout", "--quiet", "--allow-missing")


def _take(commit: str) -> None:
    """FILES as they are in a commit; those that it lacks are removed."""
    there = _git("ls-tree", "--name-only", "--full-tree", "-r", commit, "--", *FILES).split()
    _git("restore", f"--source={commit}", "--staged", "--worktree", "--", *there)
    gone = [file for file in FILES if file not in there]
    if gone:
        _git("rm", "--quiet", "--force", "--ignore-unmatch", "--", *gone)
        for file in gone:
            Path(file).unlink(missing_ok=True)


def _each(name: str, versions: list[str], overrides: list[str]) -> set[str]:
    """Runs one version after the other in the workspace, whose checkpoints outlast a killed run; who ended well."""
    ended = set()
    for version in versions:
        print(f"\n{name}-{version}", flush=True)
        if subprocess.run(_exp_run(name, version, overrides)).returncode == 0:
            ended.add(version)
    return ended


def _together(name: str, versions: list[str], overrides: list[str], jobs: int) -> set[str]:
    """Runs up to `jobs` versions at once in temporary copies; those that ended well. The workspace stays as it is."""
    # DVC sets up one experiment at a time and refuses another meanwhile.
    setting_up = threading.Semaphore()

    def one(version: str) -> bool:
        """Whether it ended well. Its lines come with its name in front."""
        setting_up.acquire()
        process = subprocess.Popen(
            _exp_run(name, version, overrides, "--temp"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        waiting = True
        for line in process.stdout:
            if waiting and "tage '" in line:  # "Stage 'x' ...", "Running stage 'x'": it is set up
                setting_up.release()
                waiting = False
            print(f"{version}  {line}", end="", flush=True)
        if waiting:
            setting_up.release()
        well = process.wait() == 0
        print(f"{version}  {'ended' if well else 'failed'}", flush=True)
        return well

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        return {version for version, well in zip(versions, pool.map(one, versions), strict=True) if well}


def _exp_run(name: str, version: str, overrides: list[str], *options: str) -> list[str]:
    settings = [x for override in (f"version={version}", *overrides) for x in ("-S", override)]
    return ["dvc", "exp", "run", "--name", f"{name}-{version}", *options, *settings]


def _forget(name: str, versions: list[str]) -> None:
    """Removes former experiments of the names <set>-<version>."""
    there = set(_dvc("exp", "list", "--name-only").split())
    former = sorted(there & {f"{name}-{version}" for version in versions})
    if former:
        _dvc("exp", "remove", *former)


def commit_record(name: str, version: str, base: str) -> str:
    """Commits what the experiment <set>-<version> of the commit `base` left, as its record; the commit."""
    _take(f"refs/exps/{base[:2]}/{base[2:]}/{name}-{version}")
    f1 = read_json(METRICS / "evaluate.json")["f1_macro"]
    title = f"{version.upper()} on {name}: macro-F1 {f1:.3f}"
    _git("commit", "--quiet", "--allow-empty", "-m", title, "-m", f"{TRAILER}: {name}-{version}")
    print(f"{version}  recorded: {title}", flush=True)
    return _git("rev-parse", "HEAD")


def _commit_defaults(name: str, base: str, recorded: dict[str, str]) -> None:
    """Commits the parameters from before with the newest run of them, the records' figures, and the page."""
    if not recorded:
        return
    update_figures(name, recorded)
    write_page()
    defaults = yaml.safe_load(shown(base, "params.yaml"))
    same = [
        commit for commit in recorded.values() if yaml.safe_load(shown(commit, "params.yaml")) == defaults
    ]
    _take(same[-1] if same else base)
    _git("add", "--", str(FIGURES), str(PAGE))
    names = ", ".join(f"{name}-{version}" for version in recorded)
    _git("commit", "--quiet", "--allow-empty", "-m", f"The figures of {names}; the defaults again")


def shown(commit: str, file: str) -> str:
    """A file as it is in a commit."""
    return _git("show", f"{commit}:{file}")


def update_figures(name: str, recorded: dict[str, str]) -> None:
    """Writes the figures of records, version: commit, beside those of the set's other versions."""
    found = {
        version: {
            "params": yaml.safe_load(shown(commit, "params.yaml")),
            "evaluate": json.loads(shown(commit, "metrics/evaluate.json")),
            "train": json.loads(dvc.api.read(str(DETAILS / "train.json"), repo=".", rev=commit)),
        }
        for version, commit in recorded.items()
    }
    FIGURES.mkdir(parents=True, exist_ok=True)
    write_json(FIGURES / f"{name}.json", dict(sorted((figures().get(name, {}) | found).items())))


def figures() -> dict[str, Figures]:
    """For each set, the sample first, for each version: the figures that Git has, whatever history there is."""
    files = sorted(FIGURES.glob("*.json"), key=lambda path: (path.stem != "sample", path.stem))
    return {path.stem: read_json(path) for path in files}


def records() -> dict[str, str]:
    """For each name like sample-v5 the newest commit of HEAD's history that records it."""
    value = f"%(trailers:key={TRAILER},valueonly,separator=%x2C)"
    found: dict[str, str] = {}
    for line in _git("log", f"--grep=^{TRAILER}:", f"--format=%H {value}", "HEAD").splitlines():
        commit, _, names = line.partition(" ")
        for name in filter(None, names.split(",")):
            found.setdefault(name, commit)
    return found


def tag_all(wanted: list[str]) -> None:
    """A local tag for every record. InputError if one of `wanted` has none."""
    found = records()
    for name, commit in found.items():
        _git("tag", "--force", name, commit)
    known = [f"{name}-{version}" for name, versions in figures().items() for version in versions]
    missing = [name for name in wanted or known if name not in found]
    why = f"no commit of this history records {', '.join(missing)}: {PAGE} has the figures of those that are known"
    if missing and wanted:
        raise InputError(why)
    print(f"tags of the recorded versions: {', '.join(sorted(found)) or 'none'}")
    if missing:
        print(why)


def write_page() -> None:
    """Replaces the tables between the markers of docs/versions.md."""
    page = PAGE.read_text()
    lessons = yaml.safe_load(FINDINGS.read_text()) if FINDINGS.exists() else {}
    for name, versions in figures().items():
        begin, end = (marker.format(set=name) for marker in (BEGIN, END))
        if begin not in page or end not in page:
            raise InputError(f"{PAGE} lacks the lines {begin!r} and {end!r}, between which the table goes")
        before, rest = page.split(begin, 1)
        page = f"{before}{begin}\n{_table(versions, lessons.get(name, {}))}\n{end}{rest.split(end, 1)[1]}"
    with atomic_file(PAGE) as temporary:
        temporary.write_text(page)
    print(f"wrote {PAGE}")


def _table(versions: Figures, lessons: dict[str, str]) -> str:
    """Markdown: what came of the versions of one set, what they taught, and the parameters that differ."""
    header = ["", *(version.upper() for version in versions)]
    values = [figure["params"] for figure in versions.values()]
    differing = [k for k in values[0] if k != "version" and any(v.get(k) != values[0][k] for v in values)]
    classes = [
        name for name in next(iter(versions.values()))["evaluate"] if name[:3] == "f1_" and name != "f1_macro"
    ]

    def row(title: str, file: str, text: str) -> list[str]:
        shown = [figure[file] for figure in versions.values()]
        return [title, *("-" if _lacks(v, text) else text.format(**v) for v in shown)]

    results = [
        row("**macro-F1**", "evaluate", "**{f1_macro:.3f}**"),
        row("accuracy", "evaluate", "{accuracy:.3f}"),
        *(row(f"F1 {c[3:]}", "evaluate", f"{{{c}:.3f}}") for c in classes),
        row("bout F1 at IoU 0.5", "evaluate", "{bout_f1:.3f}"),
        row("mabe_f", "evaluate", "{mabe_f:.3f}"),
        row("best epoch / epochs run", "train", "{best_epoch} / {epochs_run}"),
        row("training time (s)", "train", "{seconds:.0f}"),
        row("windows/s", "train", "{windows_per_second:.0f}"),
        row("cost (USD)", "train", "{cost_usd:.4f}"),
        row("weights", "train", "{parameters:,}"),
        row("precision", "train", "{precision}"),
    ]
    devices = ", ".join(sorted({figure["train"]["device"] for figure in versions.values()}))
    return "\n".join(
        [
            "",
            _markdown(header, results),
            "",
            *(f"- **{version.upper()}** {lessons[version]}" for version in versions if version in lessons),
            "",
            f"Trained on: {devices}. Parameters that differ:",
            "",
            _markdown(header, [[f"`{k}`", *(_text(v.get(k)) for v in values)] for k in differing]),
            "",
        ]
    )


def _lacks(values: dict[str, Any], text: str) -> bool:
    """Whether `values` has no value for a field of a format; a machine without a price has no cost."""
    return any(name not in values for _, name, _, _ in Formatter().parse(text) if name)


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


def _git(*arguments: str) -> str:
    return output("git", *arguments)


def _dvc(*arguments: str) -> str:
    return output("dvc", *arguments)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.versions", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    runner = commands.add_parser("run", help="run versions as DVC experiments and record each as a commit")
    runner.add_argument("--set", default="sample", help="name of the set of records (default: sample)")
    runner.add_argument("--versions", default=",".join(VERSIONS), help="which, separated by commas")
    runner.add_argument("--compute", default="local", help="where: local (default) or modal")
    runner.add_argument("--jobs", type=int, default=6, help="runs at once on Modal (default: 6)")
    runner.add_argument(
        "-S", dest="overrides", action="append", default=[], help="further key=value overrides"
    )
    commands.add_parser("page", help="write docs/versions.md from the figures of the records")
    tagger = commands.add_parser("tags", help="make a local git tag of each record")
    tagger.add_argument("names", nargs="*", help="records that must be there, like sample-v5")
    arguments = parser.parse_args()
    if arguments.command == "run":
        data = [] if any(o.startswith("data=") for o in arguments.overrides) else [f"data={arguments.set}"]
        overrides = [*data, f"compute={arguments.compute}", *arguments.overrides]
        jobs = 1 if arguments.compute == "local" else arguments.jobs
        run_versions(arguments.set, arguments.versions.split(","), overrides, jobs)
    elif arguments.command == "page":
        write_page()
    else:
        tag_all(arguments.names)


if __name__ == "__main__":
    run(main)
