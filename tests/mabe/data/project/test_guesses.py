"""What names in files mean, as far as one can guess."""

from collections import Counter

import pytest
from mouse import MOUSE

from mabe import ethogram
from mabe.data.formats.pose import Header
from mabe.data.project import guesses
from mabe.data.project.vocabulary import Behaviour, Vocabulary

COMPETITION = ethogram.read("conf/ethogram/mabe2025.yaml")


def vocabulary(*part_sets):
    found = Vocabulary(part_sets=[*part_sets])
    for parts in part_sets:
        found.parts.update(parts)
    return found


def header(*parts, individuals=("animal1",)):
    return Header(individuals=individuals, bodyparts=parts)


def test_a_mouse_is_known_by_its_parts():
    found = guesses.skeleton(vocabulary(("snout", "earl", "earr", "tail_base", "implant")), MOUSE, "mouse18")
    assert found.like == "mouse18"
    assert {name: part for name, (part, _) in found.aliases.items()} == {
        "snout": "nose",
        "earl": "ear_left",
        "earr": "ear_right",
        "tail_base": "tail_base",
        "implant": None,
    }
    assert found.aliases["implant"][1].startswith("left out: is it ")


def test_the_nearest_part_is_named():
    assert guesses.nearest_part("Left_bhip", MOUSE.parts) == "hip_left"


def test_two_parts_of_a_file_are_not_one():
    aliases = guesses.aliases_of(vocabulary(("nose", "Snout", "tail", "tailbase")), MOUSE)
    assert aliases["nose"] == ("nose", "")
    assert aliases["Snout"] == (None, "left out: nose is nose already")
    assert aliases["tail"] == ("tail_base", "")
    assert aliases["tailbase"] == (None, "left out: tail is tail_base already")


def test_one_part_may_have_other_names_in_other_files():
    aliases = guesses.aliases_of(vocabulary(("nose", "earl"), ("Snout", "left ear")), MOUSE)
    assert {part for part, _ in aliases.values()} == {"nose", "ear_left"}


def test_another_animal_has_parts_of_its_own():
    parts = ("head", "thorax", "wingL", "wingR", "abdomen", "WingL")
    found = guesses.skeleton(vocabulary(parts), MOUSE, "mouse18")
    assert (found.like, found.parts) == (None, ("head", "thorax", "wingL", "wingR", "abdomen"))
    assert found.aliases == {"WingL": ("wingL", "")}
    assert found.sides == {"wingL": "wingR"}
    assert (found.front, found.centre, found.back[0]) == (("head",), ("thorax",), "abdomen")


@pytest.mark.parametrize(
    ("parts", "prefixes"),
    [
        (("B_Nose", "B_Tail_base", "W_Nose", "W_Tail_base"), ("B_", "W_")),
        (("B_Nose", "B_Tail_base", "W_Nose", "W_Tail_base", "corner"), ()),
        (("left_ear", "left_hip", "right_ear", "right_hip"), ()),
        (("ear_left", "ear_right", "hip_left", "hip_right"), ()),
        (("spine_1", "spine_2", "tail_1", "tail_2"), ()),
        (("tail_base", "tail_tip", "ear_base", "ear_tip"), ()),
        (("nose", "tail"), ()),
        (("tail_base", "tail_tip"), ()),
        (("m1_nose", "m2_nose"), ()),  # one part alone says nothing
    ],
)
def test_prefixes_are_animals_where_every_part_occurs_under_two(parts, prefixes):
    assert guesses.prefixes([header(*parts)]) == prefixes


def test_animals_are_numbered_by_name_and_known_ones_keep_their_number():
    found = Vocabulary(animals={"a": ("Red", "blue"), "b": ("blue", "red"), "c": ("red", "green")})
    assert guesses.animals(found, {}) == {"Red": 1, "blue": 2, "green": 2}
    assert guesses.animals(found, {"blue": 1}) == {"Red": 2, "green": 1}


@pytest.mark.parametrize(
    ("name", "animals", "animal"),
    [
        ("Mouse 1", {"mouse1": 1, "mouse2": 2}, "mouse1"),
        ("2", {"track_1": 1, "track_2": 2}, "track_2"),
        ("resident", {"animal1": 1, "animal2": 2}, None),
        ("anything", {"animal1": 1}, "animal1"),
        ("No focal subject", {"animal1": 1}, None),
        ("1", {"mouse_0": 1, "mouse_1": 2}, None),  # the first, or the second
    ],
)
def test_subjects(name, animals, animal):
    assert guesses.subject(name, animals, from_zero=False)[0] == animal


def test_a_guessed_animal_is_asked_for():
    assert guesses.subject("experimenter", {"animal1": 1}, from_zero=False)[1] == guesses.WHETHER
    assert guesses.subject("Animal 1", {"animal1": 1}, from_zero=False)[1] == ""
    assert guesses.subject("1", {"m_0": 1, "m_1": 2}, from_zero=False)[1] == guesses.WHICH
    assert guesses.subject("1", {"m_0": 1, "m_1": 2}, from_zero=True) == ("m_1", "")


def test_jabs_counts_identities_from_0():
    animals = {"animal1": 1, "animal2": 2}
    found = [guesses.subject(n, animals, from_zero=True) for n in "012"]
    assert [animal for animal, _ in found] == ["animal1", "animal2", None]
    assert [question for _, question in found] == [guesses.WHETHER, guesses.WHETHER, guesses.WHICH]


@pytest.mark.parametrize(
    ("spelling", "action"),
    [
        ("Rearing", "rear"),
        ("Sniff face", "sniffface"),
        ("Self-grooming", "selfgroom"),
        ("nest, building!", "nest_building"),
    ],
)
def test_actions_have_the_names_of_the_competition_or_plain_ones(spelling, action):
    assert guesses.action(spelling, COMPETITION) == action


ONE, NONE = Counter({"adult": 3}), Counter({"": 3})


@pytest.mark.parametrize(
    ("name", "of", "animals", "key"),
    [
        ("x", Behaviour(targets=1, subjects=ONE), 3, "of_another"),
        ("sniff", Behaviour(subjects=NONE), 1, "of_oneself"),
        ("x", Behaviour(subjects=NONE), 2, "of_pair"),
        ("x", Behaviour(subjects=Counter({"both": 1})), 2, "of_pair"),
        ("rear", Behaviour(subjects=Counter({"who": 1})), 2, "of_oneself"),
        ("rear", Behaviour(), 2, "of_oneself"),  # looked for, and never seen
        ("sniff", Behaviour(subjects=ONE), 2, "of_another"),
        ("rear", Behaviour(subjects=ONE), 2, "of_oneself"),
        ("nose_contact", Behaviour(subjects=ONE), 2, "of_another"),
        ("interact", Behaviour(subjects=ONE), 3, "of_oneself"),
        ("eat", Behaviour(subjects=ONE), 2, "of_oneself"),
    ],
)
def test_who_does_it_to_whom(name, of, animals, key):
    assert guesses.direction(name, of, animals, {"", "both"}, COMPETITION)[0] == key
