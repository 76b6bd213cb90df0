"""Additions to a YAML file that leave every other character as it is: comments, order, quotes.

A library that writes YAML anew would move comments; here PyYAML tells where things stand, and text is put there.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from mabe.errors import InputError
from runs.parameters import yaml_value

_PLAIN = re.compile(r"[^\W\d][\w.+-]*( [\w.+-]+)*")
_WORDS = ("null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf")


def scalar(value: str | int | None) -> str:
    """A name, a number or null as YAML, in quotes where it needs them."""
    if value is None:
        return "null"
    if isinstance(value, int):
        return str(value)
    if _PLAIN.fullmatch(value) and value.casefold() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)


def line(key: str, value: str, comment: str = "", indent: int = 2) -> str:
    """`key: value  # comment`; value: as YAML."""
    written = f"{' ' * indent}{scalar(key)}: {value}"
    return f"{written}  # {comment}" if comment else written


class Document:
    """A YAML file's text, to which entries are added."""

    def __init__(self, text: str, where: str) -> None:
        self.text, self.where = text, where

    def add_entries(self, keys: tuple[str, ...], entries: Mapping[str, tuple[str, str]]) -> None:
        """Adds `name: value  # comment` lines at the end of the mapping that `keys` lead to; it may be empty."""
        if not entries:
            return
        node = self._find(keys)
        if isinstance(node, yaml.MappingNode) and node.flow_style and node.value:
            added = "".join(f", {scalar(name)}: {value}" for name, (value, _) in entries.items())
            self._insert(_last(node).end_mark.index, added)
            return
        if isinstance(node, yaml.MappingNode) and node.value:
            indent, end = node.value[0][0].start_mark.column, _last(node).end_mark.index
        else:  # `key:`, `key: null` or `key: {}`
            self.text = self.text[: node.start_mark.index] + self.text[node.end_mark.index :]
            indent, end = 2 * len(keys), node.start_mark.index
        lines = [line(name, value, comment, indent) for name, (value, comment) in entries.items()]
        self._insert(self._end_of_line(end), "\n" + "\n".join(lines))

    def add_items(self, keys: tuple[str, ...], items: list[str]) -> None:
        """Adds names at the end of the list that `keys` lead to; it may be empty."""
        if not items:
            return
        node, written = self._find(keys), [scalar(item) for item in items]
        if isinstance(node, yaml.SequenceNode) and node.flow_style:
            if node.value:
                self._insert(_last(node).end_mark.index, "".join(f", {item}" for item in written))
            else:
                self._insert(node.start_mark.index + 1, ", ".join(written))
        elif isinstance(node, yaml.SequenceNode):
            dash = " " * node.start_mark.column
            end = self._end_of_line(_last(node).end_mark.index)
            self._insert(end, "".join(f"\n{dash}- {item}" for item in written))
        else:
            self.text = self.text[: node.start_mark.index] + self.text[node.end_mark.index :]
            self._insert(node.start_mark.index, f" [{', '.join(written)}]")

    def add_key(self, key: str, value: str, comment: str) -> None:
        """Adds a key at the end of the file."""
        self.text = f"{self.text.rstrip()}\n\n# {comment}\n{key}: {value}\n"

    def values(self) -> dict:
        """What the text says; InputError if the additions broke it, as they may with an unusual layout."""
        try:
            return yaml_value(self.text)
        except yaml.YAMLError:
            raise InputError(
                f"{self.where} has a layout to which nothing can be added: write a line for each name"
            ) from None

    def _find(self, keys: tuple[str, ...]) -> yaml.Node:
        node: Any = yaml.compose(self.text, Loader=yaml.SafeLoader)
        for key in keys:
            node = next(value for name, value in node.value if name.value == key)
        return node

    def _insert(self, index: int, text: str) -> None:
        self.text = self.text[:index] + text + self.text[index:]

    def _end_of_line(self, index: int) -> int:
        end = self.text.find("\n", index)
        return len(self.text) if end < 0 else end


def _last(node: yaml.Node) -> yaml.Node:
    """The node that stands last within another, or that itself if it is empty or ends with a bracket of its own."""
    inner = node.value[-1] if not isinstance(node, yaml.ScalarNode) and node.value else None
    if inner is None:
        return node
    last = inner[1] if isinstance(node, yaml.MappingNode) else inner
    if isinstance(last, yaml.ScalarNode) or last.flow_style:
        return last
    return _last(last)
