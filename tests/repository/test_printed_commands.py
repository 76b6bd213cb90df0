"""Every command that README and docs print, run in a plain clone in the order of the pages.

The clone has an environment of its own in .venv and settings of seconds; all else is what `git clone` gives. Python
commands run in forks of a process that has imported the libraries, but for those of REAL. A command must end with
status 0 and say neither WARNING nor ERROR; for DVC's tables it is looked at what they hold.
`pytest --junitxml=FILE tests/repository/test_printed_commands.py` writes the seconds of each command.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from calms21_made import write_calms21
from filmed import film, moving
from forks import executable
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from own_made import mice
from printed import COMMANDS, NO_COMMANDS, Block, blocks, pages
from rats_made import write_rats
from repository import OURS, Clone, copied, edit, forks, record_all

pytestmark = pytest.mark.integration

NETWORK = "needs a network"
ACCOUNT = "needs an account"
GPU = "needs a GPU"
SUITE = "calls the suite, or measures for minutes what a test of its own runs with small sizes"
MODAL = "needs an account of Modal: run against a local server by test_modal_dvc"
BUCKET = "needs a bucket: run against a local server by test_storage"
EXCUSED = {
    r"make test": SUITE,
    r"pip install kaggle|kaggle .*": NETWORK,
    r"unzip MABe.*": NETWORK,
    r"make rats": NETWORK,
    r"curl -L -o task1_classic[\s\S]*|unzip -j task1_classic.*": NETWORK,
    r"dvc exp run -S processes=4": GPU,
    r"dvc exp run -S preset=h100_1gpu": GPU,
    r"cd video && dvc exp run -S preset=h100_8gpu .*": GPU,
    r"taehv train (8 h100|1 1gpu_h100).*": GPU,
}
"""Regular expressions of commands that are not run here, with the reason."""

EXCUSED_BLOCKS = {
    r"YOUR-BUCKET|YOUR-KEY|YOUR-ENDPOINT": BUCKET,
    r"modal (token|profile)|compute=modal|COMPUTE=modal|python -m runs": MODAL,
}
"""Regular expressions that are found in a block of which no command is run here, with the reason."""

REAL = ("make repro", "make video")
"""Commands that are run by Python itself, imports and all: between them, every stage of both pipelines."""

PLACES = {"/YOUR/DIRECTORY": "shared-disk"}
"""Placeholders, and the folder beside the clone that takes their place."""

SIZES = {
    "windows_per_epoch=3072": "windows_per_epoch=32",
    "'version=v1,v2,v3,v4,v5,v6'": "'version=v1,v3'",
    "'seed=1,2,3'": "'seed=1,2'",
    "max_epochs=10": "max_epochs=2",
    "folds=[0,1,2,3,4]": "folds=[0,1]",
    "train_recordings=10,20,40": "train_recordings=4,8",
    "init_head_epochs=3": "init_head_epochs=1",
    "version=v9": "version=v9 -S 'folds=[0,1]' -S trees=5",
    "taehv bench": "taehv bench --sizes 64x64 --frames 8",
}
"""What of a command makes it last, and what takes its place."""

ORDER = (
    *(
        "README.md",
        "docs/experiments.md",
        "docs/versions.md",
        "docs/data.md",
        "docs/metrics.md",
        "docs/models.md",
    ),
    "docs/storage.md",
)
"""Pages that are read first; the others follow by name. docs/own-data.md ends with a run put back, whose outputs are in
no cache, so docs/storage.md, which pushes them, is before it."""


def reading_order() -> list[str]:
    first = [page for page in ORDER if page in pages()]
    return first + [page for page in pages() if page not in first]


def excuse(block: Block, command: str) -> str | None:
    """Why a command is not run here; None if it is."""
    whys = [why for pattern, why in EXCUSED.items() if re.fullmatch(pattern, command)]
    whys += [why for pattern, why in EXCUSED_BLOCKS.items() if re.search(pattern, "\n".join(block.lines))]
    return whys[0] if whys else None


ALL = [
    (block, line, command)
    for page in reading_order()
    for block in blocks(page)
    if block.language in COMMANDS and block.file is None
    for line, command in block.commands()
]
RUN = [(block, line, command) for block, line, command in ALL if excuse(block, command) is None]


def small(clone: Clone) -> None:
    """Settings of seconds, committed, so that commands run as they are printed."""
    conf = clone.folder / "conf"
    edit(conf / "config.yaml", sim_videos=21, sim_test_videos=2, sim_seconds=8.0, ethograms=1)
    for data in ("sample", "kaggle", "rats", "calms21"):
        edit(conf / f"data/{data}.yaml", windows_per_epoch=32, max_epochs=2)
    for version in conf.glob("version/v*.yaml"):
        edit(version, sequence_length=32, save_freq=1, warmup_epochs=0)
    edit(conf / "version/v8.yaml", trees=5)
    for of in ("rats-v7", "rats-v9"):
        edit(conf / f"fit/{of}.yaml", sequence_length=32, train_stride=32)
    video = clone.folder / "video"
    edit(video / "conf/config.yaml", clips_count=6, clips_frames=16, grid_clips=1)
    sizes = {"height": 64, "width": 64, "n_frames": 8, "eval_frames": 8, "batch_size": 1, "val_clips": 1}
    edit(video / "conf/preset/test.yaml", **sizes, max_steps=4, warmup_steps=1, save_freq=2, validate_every=2)
    for project in (clone.folder, video):
        with initialize_config_dir(str(project / "conf"), version_base=None):
            values = OmegaConf.to_object(compose("config"))
        (project / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


def environment(folder: Path) -> None:
    """.venv as `make install` leaves it: this interpreter's packages, and the clone's own code before them."""
    venv.create(folder / ".venv", symlinks=True)
    packages = next((folder / ".venv").glob("lib/python*/site-packages"))
    base = [p for p in sys.path if p.endswith("site-packages")]
    (packages / "clone.pth").write_text("\n".join([str(folder / "src"), *base]) + "\n")
    for script in (Path(sys.prefix) / "bin").iterdir():
        target = folder / ".venv/bin" / script.name
        if script.is_file() and not target.exists() and script.read_bytes().startswith(b"#!"):
            target.write_text(script.read_text().replace(sys.prefix, str(folder / ".venv")))
            target.chmod(0o755)
    (folder / ".venv/.installed").touch()
    python = (folder / ".venv/bin/python").resolve()
    (folder / ".venv/bin/python3").unlink()
    (folder / ".venv/bin/python3").symlink_to(python)
    executable(folder / ".venv/bin/forking", folder / ".venv/bin/python3", forks(), OURS, [folder / "src"])
    run_by(folder, "python3")


def run_by(folder: Path, name: str) -> None:
    """Makes the executable of .venv of that name what `python` runs."""
    python = folder / ".venv/bin/python"
    python.unlink(missing_ok=True)
    python.symlink_to(name)


class Reader:
    """Somebody who types what the pages print: a terminal per block, with its folder and its variables.

    Where a block started DVC's queue, the reader waits for it before the next block.
    """

    def __init__(self, clone: Clone):
        self.clone = clone
        self.block: Block | None = None
        self.queue = False
        self.before = clone.folder.parent / "before.sh"
        self.printed = clone.folder.parent / "printed.txt"

    def types(self, block: Block, command: str) -> tuple[int, str]:
        """The command's status and what it prints, on both streams."""
        if block != self.block:
            self.wait_for_the_queue()
            self.block = block
            self.before.write_text(f"cd {shlex.quote(str(self.clone.folder))}\n")
        self.queue |= "dvc queue start" in command
        run_by(self.clone.folder, "python3" if command in REAL else "forking")
        for placeholder, name in PLACES.items():
            command = command.replace(placeholder, str(self.clone.folder.parent / name))
        for size, smaller in SIZES.items():
            command = command.replace(size, smaller)
        if block.language == "python":
            command = f"python -c {shlex.quote(command)}"
        state = shlex.quote(str(self.before))
        script = (
            f". {state}\n{command}\nstatus=$?\n{{ export -p; echo cd $(pwd); }} > {state}\nexit $status\n"
        )
        # Into a file: the workers of DVC's queue keep the output open after the command has ended.
        with self.printed.open("w+") as printed:
            done = subprocess.run(
                ["bash", "-c", script],
                cwd=self.clone.folder,
                env=self.clone.environment,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=600,
            )
        return done.returncode, self.printed.read_text()

    def wait_for_the_queue(self) -> None:
        """Until no experiment is queued or runs; all must have succeeded."""
        deadline = time.monotonic() + 900
        while self.queue:
            status = self.clone("dvc", "queue", "status")
            assert "Failed" not in status, status
            self.queue = bool(re.search(r"Queued|Running", status))
            assert time.monotonic() < deadline, f"the queue did not end: {status}"
            time.sleep(2 * self.queue)


SAYS_WRONG = re.compile(r"\b(WARNING|ERROR)\b|Traceback|^error:", re.MULTILINE)


def settled(clone: Clone) -> Reader:
    """A reader who has followed `make install` and `source .venv/bin/activate` in the clone."""
    environment(clone.folder)
    del clone.environment["PYTHONPATH"]  # nobody sets it
    clone.environment |= {
        "PATH": f"{clone.folder / '.venv/bin'}{os.pathsep}{clone.environment['PATH']}",
        "VIRTUAL_ENV": str(clone.folder / ".venv"),
    }
    return Reader(clone)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    clone = copied(tmp_path_factory.mktemp("reader") / "clone", plain=True)
    small(clone)
    clone.commit("settings of seconds")
    record_all(clone)
    reader = settled(clone)
    yield reader
    clone("dvc", "queue", "stop", "--kill")


def bring_data(reader: Reader, command: str) -> None:
    """What cannot be had here lies in its place: made files of the competition's layout, made animals, a made film."""
    root = reader.clone.folder
    raw = root / "data/raw"
    if "data=kaggle" in command and not (raw / "kaggle").exists():
        shutil.copytree(raw / "sample", raw / "kaggle")
    if re.search(r"data=rats|--set rats", command) and not (raw / "rats").exists():
        write_rats(raw / "rats", recordings=6, seconds=12.0)
    if "my-data" in command and not (root / "my-data").exists():
        mice(root / "my-data", recordings=3, seconds=16.0)
    if "data=calms21" in command and not (raw / "calms21").exists():
        write_calms21(raw / "calms21", recordings=8, seconds=12.0)
    if "clip.mp4" in command and not (root / "clip.mp4").exists():
        film(root / "clip.mp4", moving(16))


@pytest.mark.parametrize(
    ("block", "command"),
    [
        pytest.param(block, command, id=f"{block.page}:{line}: {command.splitlines()[0]}")
        for block, line, command in RUN
    ],
)
def test_it_works_as_printed(reader, block, command):
    bring_data(reader, command)
    status, output = reader.types(block, command)
    assert status == 0, output
    assert not SAYS_WRONG.search(output), output
    for pattern, holds in TABLES.items():
        if re.fullmatch(pattern, command):
            holds(output, reader.clone)


def row(output: str, name: str, *cells: str) -> None:
    """A line begins with `name`, or has it as a cell, and then has the cells, or else a figure."""
    lines = [re.sub(r"[│\[\]]", " ", line).split() for line in output.splitlines()]
    rests = [line[line.index(name) + 1 :] for line in lines if name in line]
    wanted = [rest for rest in rests if set(cells) <= set(rest) and re.search(r"\d", " ".join(rest))]
    assert wanted, f"no line of {name} with {cells or 'a figure'}:\n{output}"


RECORDS = [f"{data}-v{n}" for data in ("sample", "rats") for n in range(1, 7)]
CLASSES = [f"f1_{name}" for name in ("background", "social", "mating", "aggressive")]


def rows(*names: str) -> Callable[[str, Clone], None]:
    def holds(output: str, clone: Clone) -> None:
        for name in names:
            row(output, name)

    return holds


def changed_batch(output: str, clone: Clone) -> None:
    row(output, "batch_size", "32", "384")


def other_batch(output: str, clone: Clone) -> None:
    row(output, "batch_size", "64", "384")


def batch_is(size: int) -> Callable[[str, Clone], None]:
    def holds(output: str, clone: Clone) -> None:
        assert yaml.safe_load((clone.folder / "params.yaml").read_text())["batch_size"] == size

    return holds


def shown(output: str, clone: Clone) -> None:
    """Every record with figures, in columns named by headline values, within 160 characters."""
    for name in RECORDS:
        row(output, name)
    assert all(name in output for name in ("f1_macro", "bout_f1", "mabe_f", "best_epoch", "seconds"))
    assert max(map(len, output.splitlines())) <= 160


def compared(output: str, clone: Clone) -> None:
    row(output, "batch_size", "64", "384")
    for name in ("f1_macro", *CLASSES):
        row(output, name)


def page_of_plots(output: str, clone: Clone) -> None:
    (address,) = re.findall(r"file://(\S+)", output)
    page = Path(address).read_text()
    assert '"f1_macro"' in page
    assert not re.search(r"<script[^>]+src=", page)


def tagged(output: str, clone: Clone) -> None:
    assert set(RECORDS) <= set(clone("git", "tag").split())


def branched(output: str, clone: Clone) -> None:
    assert "batch_size: 384" in clone("git", "show", "try-batch-384:params.yaml")


def as_committed(output: str, clone: Clone) -> None:
    assert clone("git", "status", "--porcelain", "params.yaml", "dvc.lock", "metrics") == ""


def differing(output: str, clone: Clone) -> None:
    for name in ("f1_macro", *CLASSES, "mabe_f", "accuracy", "seconds", "windows_per_second"):
        row(output, name)


def queued(output: str, clone: Clone) -> None:
    """Four experiments wait, run, or are done, and none has failed."""
    assert len(re.findall(r" (Queued|Running|Success)", output)) >= 4
    assert "Failed" not in output


def next_line(output: str, clone: Clone) -> None:
    """The page's own line: what comes next."""
    assert output.splitlines()[-1].strip() == "dvc exp run -S data=own -S data_dir=my-data -S version=v8"


def up_to_date(output: str, clone: Clone) -> None:
    assert "Data and pipelines are up to date." in output


def spread(output: str, clone: Clone) -> None:
    """Two seeds of each rate."""
    seeds = {line.split()[0]: int(line.split()[1]) for line in output.splitlines() if line.strip()[:1] == "0"}
    assert seeds == {"0.0003": 2, "0.0004": 2}


def kept_outputs(output: str, clone: Clone) -> None:
    """The weights of every experiment are still in the cache."""
    names = clone("git", "for-each-ref", "--format=%(refname)", "refs/exps").split()
    experiments = [name for name in names if re.match(r"refs/exps/[0-9a-f]{2}/", name)]
    assert len(experiments) >= 6
    for name in experiments:
        lock = yaml.safe_load(clone("git", "show", f"{name}:dvc.lock"))["stages"]
        (md5,) = [out["md5"] for out in lock["train"]["outs"] if out["path"] == "models/train"]
        assert (clone.folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).exists(), name


TABLES: dict[str, Callable[[str, Clone], None]] = {
    r"dvc exp run -S batch_size=384|dvc exp run --name batch-384 .*|dvc exp apply batch-384": batch_is(384),
    r"dvc metrics diff( sample-v5 sample-v6)?": differing,
    r"dvc params diff": changed_batch,
    r"dvc params diff sample-v5 sample-v6": other_batch,
    r"dvc plots diff.*": page_of_plots,
    r"dvc exp show --all-tags .*": rows(*RECORDS),
    r"dvc exp show --only-changed --drop '\.\*\[/\.\]'": rows("batch-384", "augmentation-off"),
    r"dvc exp diff .*": rows("f1_macro"),
    r"dvc exp branch .*": branched,
    r"git restore .*": as_committed,
    r"dvc status": up_to_date,
    r"dvc queue status": queued,
    r"dvc gc .*": kept_outputs,
    r"mabe init .*": next_line,
    r"make tags": tagged,
    r"make compare.*": compared,
    r"make show": shown,
    r"python -m tools.experiments spread": spread,
    r"python -m mabe.score .*": rows("score"),
}
"""What the output of a command must hold, or what must hold after it."""


@pytest.mark.parametrize("pattern", TABLES)
def test_what_is_looked_at_is_printed(pattern):
    assert any(re.fullmatch(pattern, command) for _, _, command in RUN)


FIRST = {
    "dvc status": None,
    "dvc metrics diff": None,
    "dvc params diff": None,
    "make tags": tagged,
    "dvc metrics diff sample-v5 sample-v6": differing,
    "dvc params diff sample-v5 sample-v6": other_batch,
    "dvc exp show -T --only-changed --drop '.*[/.]'": rows(*RECORDS),
    "make show": shown,
    "make compare A=sample-v5 B=sample-v6": compared,
    "dvc exp run dvc.yaml:check -S batch_size=384": batch_is(384),
    "cd video && dvc status": None,
    "cd video && dvc metrics show": rows("metrics/evaluate.json"),
    "cd video && dvc exp run dvc.yaml:check -S learning_rate=0.0005": None,
}
"""Commands that a plain clone can take before anything has run in it, one after the other."""


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory):
    """A reader in a clone as it comes from Git: real settings, nothing ever ran."""
    clone = copied(tmp_path_factory.mktemp("newcomer") / "clone", plain=True)
    record_all(clone)
    return settled(clone)


@pytest.mark.parametrize("command", FIRST)
def test_it_works_first_in_a_plain_clone(newcomer, command):
    status, output = newcomer.types(Block("a terminal", 1, "sh", (command,)), command)
    assert status == 0, output
    assert not SAYS_WRONG.search(output), output
    holds = FIRST[command]
    if holds is not None:
        holds(output, newcomer.clone)


def test_every_block_says_what_it_is():
    """A block without a language could hide commands from this module."""
    unknown = [
        f"{page}:{block.line} ```{block.language}"
        for page in pages()
        for block in blocks(page)
        if block.language not in COMMANDS + NO_COMMANDS
    ]
    assert unknown == []


def test_what_is_shown_as_text_is_no_command():
    first = r"\s*\$?\s*(dvc|make|python|git|pip|taehv|mabe|modal|source|export|unzip|kaggle) "
    hidden = [
        f"{page}:{block.line} {line}"
        for page in pages()
        for block in blocks(page)
        if block.language == "text"
        for line in block.lines
        if re.match(first, line)
    ]
    assert hidden == []


@pytest.mark.parametrize("command", REAL)
def test_what_python_itself_runs_is_printed(command):
    assert command in [printed for _, _, printed in RUN]


@pytest.mark.parametrize("size", SIZES)
def test_a_size_is_of_a_printed_command(size):
    assert any(size in command for _, _, command in RUN)


@pytest.mark.parametrize("pattern", EXCUSED)
def test_an_excuse_is_of_a_printed_command(pattern):
    assert any(re.fullmatch(pattern, command) for _, _, command in ALL)


@pytest.mark.parametrize("pattern", EXCUSED_BLOCKS)
def test_an_excuse_is_of_a_printed_block(pattern):
    assert any(re.search(pattern, "\n".join(block.lines)) for block, _, _ in ALL)
