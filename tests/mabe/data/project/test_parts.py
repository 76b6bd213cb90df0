"""Spellings of body parts."""

import pytest
from mouse import MOUSE

from mabe.data.project.parts import by_key, key_of, matched

SAME = [
    ("earl", "leftear", "Ear_left", "Left_ear", "left ear", "EarL", "LEFT_EAR", "ear-left", "l_ear"),
    ("hipr", "righthip", "Hip_right", "RIGHT HIP", "rt.hip"),
    ("tail_base", "TailBase", "BASE_TAIL", "tailbase", "Tail base"),
    ("forepaw_left", "LeftFrontPaw", "LEFT_FRONT_PAW", "frontpawL"),
    ("body_center", "Centre", "CENTER_SPINE", "body", "centroid"),
]


@pytest.mark.parametrize("names", SAME, ids=lambda names: names[0])
def test_spellings_of_one_part_are_one(names):
    assert len({key_of(name) for name in names}) == 1


@pytest.mark.parametrize(
    "pair",
    [
        ("tail", "tai"),
        ("ear_left", "ear_right"),
        ("spine_1", "spine_2"),
        ("tail", "tail_base"),
        ("head", "nose"),
    ],
)
def test_other_parts_are_others(pair):
    assert key_of(pair[0]) != key_of(pair[1])


def test_no_two_parts_of_the_mouse_have_one_spelling():
    assert len({key_of(part) for part in MOUSE.parts}) == len(MOUSE.parts)


def test_the_mouse_is_found_in_the_names_of_jabs():
    names = "NOSE LEFT_EAR RIGHT_EAR BASE_NECK LEFT_FRONT_PAW RIGHT_FRONT_PAW CENTER_SPINE LEFT_REAR_PAW"
    found = matched(
        [*names.split(), "RIGHT_REAR_PAW", "BASE_TAIL", "MID_TAIL", "TIP_TAIL", "implant"], by_key(MOUSE)
    )
    assert found.pop("implant") is None
    assert None not in found.values()
    assert len(set(found.values())) == 12
    assert found["MID_TAIL"] == "tail_middle_2"
