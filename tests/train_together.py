"""One process of a training run, for test_processes.py: torchrun ... train_together.py FOLDER CHANGES."""

import dataclasses
import json
import sys
from pathlib import Path

import torch
from small_training import SMALL, small_data

from mabe.training.loop import train
from runs.checkpoints import Checkpoints
from runs.processes import join


def main() -> None:
    folder, changes = Path(sys.argv[1]), json.loads(sys.argv[2])
    torch.set_num_threads(1)
    processes = join("cpu")
    params = dataclasses.replace(SMALL, **changes)
    records = []
    with processes.interrupted_between_steps():
        result = train(
            params,
            small_data().of(params),
            Checkpoints(folder / "run", "k"),
            device=processes.device,
            processes=processes,
            on_epoch=records.append,
        )
    state = {"last": result.last_state, "best": result.best_state, "history": result.history}
    torch.save(state | {"told": len(records)}, folder / f"rank{processes.rank}.pt")
    processes.leave()


if __name__ == "__main__":
    main()
