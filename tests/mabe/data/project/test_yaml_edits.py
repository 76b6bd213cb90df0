"""Additions to YAML that leave the rest as it is."""

import pytest

from mabe.data.project.yaml_edits import Document, line, scalar
from runs.parameters import yaml_value

TEXT = """# mine
animals:   # who
  adult: 1     # the big one

# next
empty: {}
none:
flow: {a: 1}
ethogram:
  one: [a, b]  # two
  block:
    - x   # an x

    # the end
  long: [
    a,
    b
  ]
  no: []
last: all
"""


def test_what_was_there_stays_character_by_character():
    document = Document(TEXT, "project.yaml")
    document.add_entries(("animals",), {"Käfig 2": ("2", "new"), "1": ("3", "")})
    document.add_entries(("empty",), {"a": ("b", "")})
    document.add_entries(("none",), {"a": ("null", "why")})
    document.add_entries(("flow",), {"b": ("2", "lost")})
    document.add_items(("ethogram", "one"), ["c", "null"])
    document.add_items(("ethogram", "block"), ["y"])
    document.add_items(("ethogram", "long"), ["c"])
    document.add_items(("ethogram", "no"), ["d", "e f"])
    document.add_key("prefixes", "{}", "said")
    assert document.values() == {
        "animals": {"adult": 1, "Käfig 2": 2, "1": 3},
        "empty": {"a": "b"},
        "none": {"a": None},
        "flow": {"a": 1, "b": 2},
        "ethogram": {
            "one": ["a", "b", "c", "null"],
            "block": ["x", "y"],
            "long": ["a", "b", "c"],
            "no": ["d", "e f"],
        },
        "last": "all",
        "prefixes": {},
    }
    kept = [text.rstrip() for text in document.text.splitlines()]
    for text in (
        "# mine",
        "animals:   # who",
        "  adult: 1     # the big one",
        "# next",
        "    - x   # an x",
        "    # the end",
    ):
        assert text in kept
    assert kept[kept.index("  adult: 1     # the big one") + 1] == "  Käfig 2: 2  # new"


def test_crlf_and_a_missing_last_line_end():
    document = Document("animals:\r\n  a: 1\r\nlast:\r\n  x: y", "f")
    document.add_entries(("animals",), {"b": ("2", "")})
    document.add_entries(("last",), {"z": ("null", "")})
    assert document.values() == {"animals": {"a": 1, "b": 2}, "last": {"x": "y", "z": None}}


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "Mouse 1",
        "1",
        "01",
        "null",
        "Yes",
        "a: b",
        "#x",
        "é",
        "a,b",
        '"',
        "'",
        "-",
        "[",
        "",
        " a",
        "1.0",
        "~",
        "x#y",
    ],
)
def test_any_name_comes_back(name):
    assert yaml_value(line(name, scalar(name), "comment")) == {name: name}
