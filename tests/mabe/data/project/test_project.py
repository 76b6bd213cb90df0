"""project.yaml: what is read, and what is wrong with it."""

import pytest
import yaml
from mouse import MOUSE

from mabe import ethogram, skeleton
from mabe.data.formats.pose import Header
from mabe.data.project.project import read
from mabe.errors import InputError

GOOD = {
    "skeleton": {"like": "mouse18", "aliases": {"snout": "nose", "cable": None}},
    "animals": {"Adult": 1, "juvenile": 2},
    "prefixes": {"B_": "adult", "W_": "juvenile"},
    "subjects": {"A": "adult", "both": None},
    "behaviours": {"Interact": "interact", "noise": None},
    "annotated": "bouts",
    "point_events": "frame",
    "ethogram": {
        "of_oneself": ["rear"],
        "of_another": ["interact"],
        "of_pair": ["huddle"],
        "overlapping": ["rear"],
        "classes": {"own": {"other": [], "interact": ["interact"]}},
    },
}


def project(tmp_path, **changes):
    path = tmp_path / "project.yaml"
    values = {name: value for name, value in (GOOD | changes).items() if value is not ...}
    path.write_text(yaml.safe_dump(values, allow_unicode=True))
    return read(path)


def test_names_in_any_spelling(tmp_path):
    of = project(tmp_path)
    assert of.parts["nose "] == "nose"
    assert of.parts["ear left"] == "ear_left"
    assert of.parts["cable "] is None
    assert of.animals == {"adult": 1, "juvenile": 2}
    assert [of.who(name) for name in ("ADULT ", "a", "Both", "")] == ["adult", "adult", None, None]
    with pytest.raises(KeyError):
        of.who("somebody")
    assert of.behaviours == {"interact": "interact", "noise": None}
    assert (of.annotated, of.point_events, of.overlapping) == ("bouts", "frame", ("rear",))


def test_prefixes_make_animals_of_parts(tmp_path):
    of = project(tmp_path)
    header = Header(individuals=("animal1",), bodyparts=("B_Nose", "B_Ear", "W_Nose"))
    assert of.animals_of(header) == (("adult", "juvenile"), ("Nose", "Ear"))
    assert of.of_prefix("W_Nose") == ("juvenile", "Nose")
    plain = Header(individuals=("animal1",), bodyparts=("B_Nose", "Nose"))
    assert of.animals_of(plain) == (("animal1",), ("B_Nose", "Nose"))


def test_sections_of_one_file_are_the_skeleton_and_the_ethogram(tmp_path):
    of = project(tmp_path)
    found = skeleton.read(of.path)
    assert (found, found.parts) == (of.skeleton, MOUSE.parts)
    assert found.part("snout") == MOUSE.parts.index("nose")
    assert found.part("headpiece_topfrontleft") == MOUSE.parts.index("head")
    with pytest.raises(InputError, match="unknown body part 'cable'"):
        found.part("cable")
    assert ethogram.read(of.path).of_pair == ("huddle",)


def test_a_skeleton_is_found_from_another_folder(tmp_path, monkeypatch):
    project(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert skeleton.read("project.yaml").parts == MOUSE.parts


def test_own_parts(tmp_path):
    own = {
        "parts": ["head", "tail"],
        "aliases": {"Kopf": "head", "wing": None},
        "front": ["head"],
        "back": ["tail"],
    }
    of = project(tmp_path, skeleton=own)
    assert of.skeleton.parts == ("head", "tail")
    assert (of.parts["kopf "], of.parts["wing "]) == ("head", None)


ETHOGRAM = GOOD["ethogram"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"behaviors": {}}, "unknown key 'behaviors': did you mean behaviours"),
        ({"animals": ...}, "has no key animals"),
        ({"animals": {"adult": 0}}, "animals: adult is 0 but must be a number from 1 to 32"),
        ({"animals": {"adult": "one"}}, "animals: adult is 'one'"),
        ({"animals": {"adult": 1, "Adult": 2}}, "[Aa]dult has two numbers"),
        ({"animals": {1: 1}}, "animals: put the name 1 in quotes"),
        ({"animals": ["adult"]}, "animals must hold `name: value` lines"),
        ({"subjects": {"A": "adul"}}, "subjects: A: unknown animal 'adul': did you mean adult"),
        ({"prefixes": {"B_": None}}, "prefixes: 'B_' is of no animal"),
        ({"behaviours": {"i": "interct"}}, "behaviours: i: unknown action 'interct': did you mean interact"),
        ({"behaviours": {"i": 1}}, "behaviours: i is 1: put a name in quotes"),
        ({"watched": ["adlt"]}, "watched: unknown animal 'adlt': did you mean adult"),
        ({"watched": "adult"}, "watched must be a list of names"),
        ({"watched": []}, "watched names no animal"),
        ({"annotated": "some"}, "annotated is 'some' but must be all or bouts"),
        ({"point_events": True}, "point_events is True but must be drop or frame"),
        ({"skeleton": {"like": "mouse19"}}, "like: unknown skeleton 'mouse19': did you mean mouse18"),
        ({"skeleton": {"like": "mouse18", "front": ["nose"]}}, "front is that of the skeleton mouse18"),
        (
            {"skeleton": {"like": "mouse18", "aliases": {"a": "nos"}}},
            "unknown body part 'nos': did you mean nose",
        ),
        ({"skeleton": {}}, "skeleton has no key parts"),
        ({"skeleton": None}, "skeleton must hold"),
        ({"ethogram": ETHOGRAM | {"of_oneself": ["a,b"]}}, "the action 'a,b' must have no comma"),
        ({"ethogram": ETHOGRAM | {"overlapping": ["run"]}}, "overlapping: unknown action 'run'"),
        ({"ethogram": ETHOGRAM | {"of_pair": ["rear"]}}, "names rear twice"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(tmp_path, changes, says):
    with pytest.raises(InputError, match=says) as caught:
        project(tmp_path, **changes)
    assert str(caught.value).startswith(str(tmp_path / "project.yaml"))
    assert "\n" not in str(caught.value)


def test_without_the_file_the_error_says_what_writes_it(tmp_path):
    with pytest.raises(InputError, match="run `mabe init"):
        read(tmp_path / "project.yaml")
