"""Pushes every past run with its outputs, so that a clone restores any of them without training.

    python -m tools.share                push the run cache to the default remote
    python -m tools.share --remote NAME  or to another

`dvc push --run-cache` sends the records of past runs only. Their outputs go with `dvc push` if a commit names them,
and the metrics that Git keeps (`cache: false`) never do, so that a clone finds a run that it cannot restore.
"""

import argparse
import warnings
from pathlib import Path

import yaml
from botocore.exceptions import BotoCoreError
from dvc.exceptions import DvcException
from dvc.repo import Repo

from mabe.errors import InputError
from runs.text import one_line
from stages.common import run


def push_runs(repo: Repo, remote: str | None) -> tuple[int, int]:
    """Pushes outputs, then records, so that no record arrives without its outputs; returns how many of each.

    InputError if the remote cannot be reached, refuses, or stops half-way.
    """
    records = sorted(p for p in Path(repo.stage_cache.cache_dir).glob("*/*/*") if len(p.name) == 64)
    whole = [(p.parent.name, p.name) for p in records if has_outputs(repo, p)]
    objects = set().union(*repo.stage_cache.get_used_objs(whole).values())
    try:
        done = repo.cloud.push(objects, remote=remote)
        if done.failed:
            raise InputError(
                f"{len(done.failed)} of {len(objects)} outputs did not reach the remote: run it again, "
                "those that did stay there"
            )
        pushed = repo.stage_cache.push(remote)
    except (DvcException, OSError, BotoCoreError) as error:
        raise InputError(f"the runs cannot be pushed: {one_line(error)} (docs/storage.md)") from None
    if len(pushed) < len(records):
        raise InputError(
            f"only {len(pushed)} of {len(records)} records of runs could be pushed: run it again"
        )
    return len(done.transferred), len(whole)


def has_outputs(repo: Repo, record: Path) -> bool:
    """Whether the cache has what a run left: `dvc gc` removes outputs and leaves the record."""
    outs = yaml.safe_load(record.read_text())["outs"]
    return all(repo.cache.local.exists(out["md5"]) for out in outs)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.share", description=__doc__.split("\n")[0])
    parser.add_argument("--remote", help="name of a DVC remote (default: the default remote)")
    arguments = parser.parse_args()
    # The S3 driver leaves a coroutine behind when it is refused, which Python would report after the error.
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    with Repo(".") as repo, repo.lock:
        files, runs = push_runs(repo, arguments.remote)
    print(f"{files} files pushed for {runs} runs; in a clone, `dvc repro --pull` restores any of them")


if __name__ == "__main__":
    run(main)
