"""Running git and dvc from a tool."""

import os
import subprocess

from mabe.errors import InputError


def output(*command: str, **environment: str) -> str:
    """What a command prints, without the space around it; InputError with what it says if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    if done.returncode:
        raise InputError(f"`{' '.join(command)}` failed: {' '.join(done.stderr.split())}")
    return done.stdout.strip()
