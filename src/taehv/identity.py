"""What a run is: all that a checkpoint must agree in to go on from it."""

import hashlib
import json
from dataclasses import asdict

from runs.folders import Identity
from runs.processes import Processes
from taehv.annotations import Annotation
from taehv.params import ComputeParams, TrainParams

# What may differ between a run and the checkpoint that it goes on from: no result depends on it.
NEUTRAL = ("gradient_checkpointing", "compile", "workers", "max_bad_share", "save_freq", "save_total_limit")


def identity(
    params: TrainParams, annotation: Annotation, compute: ComputeParams, processes: Processes
) -> Identity:
    """The parameters that results depend on, the data and the effective batch."""
    values = {name: value for name, value in asdict(params).items() if name not in NEUTRAL}
    values["strategy"] = compute.strategy
    values["effective_batch"] = params.batch_size * params.accumulation_steps * processes.count
    if params.seraena_weight or compute.strategy != "ddp":
        values["processes"] = processes.count  # each has a state of its own
    else:
        del values["batch_size"], values["accumulation_steps"]  # one process may take the passes of two
    return values | {"clips": fingerprint(annotation)}


def fingerprint(annotation: Annotation) -> str:
    """Identifies the clips by what is known of their files without reading them; where they lie does not count."""
    clips = [
        (
            clip.path.name,
            clip.path.stat().st_size if clip.path.exists() else None,
            clip.frames,
            clip.width,
            clip.height,
            clip.first,
            clip.stop,
        )
        for clip in (*annotation.train, *annotation.val)
    ]
    return hashlib.sha256(json.dumps([len(annotation.train), *clips]).encode()).hexdigest()[:16]
