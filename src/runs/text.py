"""Text that others may have written: as it may go to a terminal, and the names of checkpoints."""

import math
import re

CHECKPOINT = re.compile(r"epoch-(\d{4,9})\.pt|checkpoint-(\d{1,9})(?:/.+)?")
"""A file, or a folder and the files in it."""


def shown(text: str, most: int | float = math.inf) -> str:
    """`text` as it may go to a terminal: what is no printable character is spelled out, and the rest is cut."""
    if len(text) > most:
        text = text[: int(most) - 1] + "…"
    return "".join(c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode() for c in text)


def one_line(error: BaseException) -> str:
    """What `error` says, in one line that may go to a terminal; its kind if it says nothing."""
    return shown(" ".join(str(error).split())) or type(error).__name__


def number_of(checkpoint: str) -> int:
    """The epoch or step that a checkpoint's name, or that of a file in it, gives."""
    found = CHECKPOINT.fullmatch(checkpoint)
    return int(found[1] or found[2]) if found else 0
