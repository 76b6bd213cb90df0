"""The commands in the code blocks of README and docs, as a reader would copy them."""

import re
from dataclasses import dataclass
from pathlib import Path

from workspace import ROOT

COMMANDS = ("sh", "python")
"""Languages of blocks that are run. A block of `sh` is one terminal, opened in the repository's root."""
NO_COMMANDS = ("text", "yaml", "json", "diff")
"""Languages of blocks that show a file, a change of it, an output or a drawing."""
FILE = re.compile(r"# (\S+\.(?:py|yaml))")
"""The first line of a block that is a file, or a change of one, by its path: it is no command."""
FENCE = re.compile(r"^\s*```(\S*)\s*$")


@dataclass(frozen=True)
class Block:
    """A code block: the page, the number of its first line, its language and its lines without indentation."""

    page: str
    line: int
    language: str
    lines: tuple[str, ...]

    @property
    def file(self) -> str | None:
        """The path of the file that the block is, or changes."""
        found = FILE.fullmatch(self.lines[0]) if self.lines else None
        return found[1] if found else None

    def commands(self) -> list[tuple[int, str]]:
        """Line number and text of each command of `sh`, comments cut off; of other languages the whole block."""
        if self.language != "sh":
            return [(self.line, "\n".join(self.lines))]
        commands: list[tuple[int, str]] = []
        unfinished = ""
        for number, line in enumerate(self.lines, self.line):
            text = unfinished + re.sub(r"(^|\s+)#.*$", "", line).strip()
            unfinished = text[:-1] if text.endswith("\\") else ""
            if text and not unfinished:
                commands.append((number, text))
        return commands


def pages() -> list[str]:
    """README and the pages of docs, README first."""
    return ["README.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]


def blocks(page: str, root: Path = ROOT) -> list[Block]:
    """The code blocks of a page, in their order."""
    found: list[Block] = []
    opened: tuple[int, str] | None = None
    lines: list[str] = []
    for number, line in enumerate((root / page).read_text().splitlines(), 1):
        fence = FENCE.match(line)
        if fence and opened is None:
            opened, lines = (number + 1, fence[1]), []
        elif fence and opened is not None:
            margin = min((len(text) - len(text.lstrip()) for text in lines if text.strip()), default=0)
            found.append(Block(page, *opened, tuple(text[margin:] for text in lines)))
            opened = None
        elif opened is not None:
            lines.append(line)
    assert opened is None, f"{page}:{opened} is not closed"
    return found
