"""Checkpoints of a run as a model file, and the score of a model file; run it from the repository's root.

    python -m tools.model .runs/KEY                          lists the checkpoints of a run
    python -m tools.model .runs/KEY --to model.pt            the newest as a model file
    python -m tools.model .runs/KEY --last 5 --to model.pt   the mean of the newest five
    python -m tools.model epoch-0040.pt --to model.pt        any of them, also a fetched one
    python -m tools.model model.pt --evaluate scores         what the evaluate stage makes of it, in the folder scores

The video pipeline's are video/.runs/KEY, checkpoint-400 and model.safetensors. A local run keeps its checkpoints if it
is started with `-S keep_checkpoints=all` (video: `-S save_total_limit=all`).
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from runs import RunError, folders
from runs.checkpoints import Checkpoints, Series
from runs.models import chosen, export, read
from runs.parameters import read_yaml
from stages.common import run
from taehv import state
from taehv.weights import SAFETENSORS

ROOT = Path(__file__).parents[1]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.model",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("where", type=Path, help="a run's folder, a checkpoint, or a model file")
    parser.add_argument("--last", type=int, default=1, metavar="K", help="average the newest K (default: 1)")
    parser.add_argument("--to", type=Path, metavar="FILE", help="the model file to write")
    parser.add_argument(
        "--evaluate", type=Path, metavar="FOLDER", help="score the model file, into a new folder"
    )
    asked = parser.parse_args(arguments)
    if asked.last < 1:
        parser.error("--last must be 1 or more")
    if not asked.where.exists():
        raise RunError(
            f"there is no {asked.where}: name a run's folder in .runs, a checkpoint or a model file"
        )
    series = folders.series(asked.where)
    if not series.paths():
        series = Series(asked.where, Checkpoints.PREFIX, Checkpoints.SUFFIX)
    if asked.to is not None:
        several = asked.where.is_dir() and not (asked.where / "state.pt").exists()
        paths = chosen(series, asked.last) if several else [asked.where]
        (state.export if paths[0].is_dir() else export)(paths, asked.to)
        print(f"{asked.to}: {' + '.join(path.name for path in paths)}")
    if asked.evaluate is not None:
        print(evaluate(asked.to or asked.where, asked.evaluate))
    elif asked.to is None:
        for path in series.paths() or [asked.where]:
            print(describe(path))


def describe(path: Path) -> str:
    """A checkpoint in a line: its name and the newest validation's figures."""
    content = read(path / "state.pt" if path.is_dir() else path)
    history = content.get("progress", {}).get("history", []) if isinstance(content, dict) else []
    figures: dict[str, Any] = {}
    for record in history:
        figures = record.get("val") or {n: v for n, v in record.items() if n.startswith("val_")} or figures
    return "  ".join([path.name, *(f"{name} {value:.4f}" for name, value in figures.items())])


def evaluate(model: Path, folder: Path) -> str:
    """Runs the evaluate stage on a model file in `folder`, a copy of the workspace by links; returns its figures.

    What DVC tracks stays as it is.
    """
    video = model.suffix == SAFETENSORS
    home, name = (Path.cwd() / "video", "best.safetensors") if video else (Path.cwd(), "best.pt")
    if folder.exists():
        raise RunError(f"{folder} exists: name a folder that does not")
    if not video and read_yaml(home / "params.yaml")["folds"] is not None:
        raise RunError(
            "folds are scored together, by the evaluate stage: a model file is of a run with folds null"
        )
    for part in ("data", "models/train"):
        (folder / part).mkdir(parents=True)
        for path in (home / part).glob("[!.]*"):
            (folder / part / path.name).symlink_to(path)
    for part in ("params.yaml", "conf"):
        (folder / part).symlink_to(home / part)
    (folder / "models/train" / name).unlink(missing_ok=True)
    (folder / "models/train" / name).symlink_to(model.resolve())
    done = subprocess.run(
        [sys.executable, "-m", "stages.video.evaluate" if video else "stages.evaluate"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        check=False,
    )
    if done.returncode:
        raise RunError(f"{model} was not evaluated, see above")
    return (folder / "metrics/evaluate.json").read_text().strip()


if __name__ == "__main__":
    run(main)
