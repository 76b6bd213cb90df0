"""Skeletons: the mouse of conf/, and what is said of a file that is wrong."""

import copy

import pytest
import yaml
from mouse import MOUSE, MOUSE_FILE, PARTS

from mabe import skeleton
from mabe.errors import InputError
from mabe.skeleton import Keypoints, Skeleton

SMALL = {
    "parts": ["nose", "left", "right", "tail"],
    "aliases": {"snout": "nose"},
    "sides": {"left": "right"},
    "front": ["nose"],
    "back": ["tail"],
    "smaller": {2: [["tail", "left"], "nose"]},
}


def read(path, **changes):
    path.write_text(yaml.safe_dump({**copy.deepcopy(SMALL), **changes}))
    return skeleton.read(path)


def test_every_part_of_the_mouse_has_one_place_and_its_mirror_image():
    assert len(PARTS) == 18
    assert (MOUSE.part("tail_base"), MOUSE.part("tail"), MOUSE.part("lateral_left")) == (14, 14, 12)
    whole = MOUSE.keypoints(18)
    assert whole.sources == tuple((part,) for part in PARTS)
    for name, other in zip(PARTS, whole.mirror, strict=True):
        swapped = name.replace("_left", "_RIGHT").replace("_right", "_left").replace("_RIGHT", "_right")
        assert PARTS[other] == swapped


def test_a_smaller_choice_has_stand_ins_sides_and_ends_of_its_own(tmp_path):
    seven = MOUSE.keypoints(7)
    assert seven.sources[3] == ("neck", "body_center", "spine_1")
    assert seven.mirror == (0, 2, 1, 3, 5, 4, 6)
    assert (seven.front, seven.centre, seven.back) == ((0, 1, 2), (3,), (6,))
    two = read(tmp_path / "s.yaml").keypoints(2)
    assert two == Keypoints(
        sources=(("tail", "left"), ("nose",)), mirror=(0, 1), front=(1,), centre=(), back=(0,)
    )


def test_a_store_holds_what_the_file_holds():
    assert Skeleton.from_dict(MOUSE.to_dict(), "") == MOUSE == skeleton.read(MOUSE_FILE)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"parts": "nose"}, "parts must be a list of names"),
        ({"parts": ["nose", True]}, "parts must be a list of names, in quotes where YAML takes"),
        ({"parts": []}, "parts is empty"),
        ({"parts": ["nose", "left", "right", "tail", "nose"]}, "parts names nose twice: remove one"),
        ({"part": []}, "unknown key 'part': did you mean parts?"),
        ({"aliases": {"snout": "nos"}}, "aliases: unknown body part 'nos': did you mean nose?"),
        ({"aliases": {"tail": "nose"}}, "aliases: 'tail' must be a text that is no part"),
        ({"sides": {"left": "rigth"}}, "sides: unknown body part 'rigth': did you mean right?"),
        ({"sides": {"left": "left"}}, "sides names left twice"),
        ({"front": ["snout"]}, "front: unknown body part 'snout': "),
        ({"smaller": {3: [["tail"], "nose"]}}, "smaller 3 must be a list of as many keypoints"),
        ({"smaller": {2: [[], "nose"]}}, "smaller 2 has a keypoint without a part"),
        ({"smaller": {2: ["tail", "nosy"]}}, "smaller 2: unknown body part 'nosy': did you mean nose?"),
    ],
)
def test_a_file_that_is_wrong_is_one_sentence(tmp_path, changes, says):
    with pytest.raises(InputError) as told:
        read(tmp_path / "s.yaml", **changes)
    assert str(told.value).startswith(f"{tmp_path / 's.yaml'}: {says}")


def test_a_name_or_a_number_that_the_skeleton_lacks():
    with pytest.raises(InputError, match=r"unknown body part 'Noze': did you mean nose\?"):
        MOUSE.part("Noze")
    with pytest.raises(
        InputError, match=r"num_keypoints is 9, but the skeleton has choices of \[7, 8, 18\] keypoints"
    ):
        MOUSE.keypoints(9)
    with pytest.raises(InputError, match=r"there is no file nowhere\.yaml: correct skeleton"):
        skeleton.read("nowhere.yaml")


def test_without_a_number_the_keypoints_are_the_parts_that_there_are():
    found = MOUSE.keypoints(None, ("nose", "ear_left", "ear_right", "tail_base"))
    assert found.names == ("nose", "ear_left", "ear_right", "tail_base")
    assert (found.mirror, found.front, found.centre, found.back) == ((0, 2, 1, 3), (0, 1, 2), (), (3,))


def test_a_skeleton_like_another_adds_names_to_it(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("like: mouse18\naliases: {snout: nose, nose: nose, cable: null}\n")
    found = skeleton.read(path)
    assert (found.parts, found.smaller, found.aliases["snout"]) == (MOUSE.parts, MOUSE.smaller, "nose")
    assert found.aliases["body"] == "body_center"
    assert "cable" not in found.aliases
    path.write_text("like: mouse18\nparts: [nose]\n")
    with pytest.raises(InputError, match="parts is that of the skeleton mouse18"):
        skeleton.read(path)
