"""Animals by name: the same one is the same mouse in every file."""

import pytest

from mabe.data.animals import places, same_name


def test_the_order_of_the_columns_does_not_matter():
    found, kept = places(
        {1: ["resident", "intruder"], 2: ["intruder", "resident"], 3: ["Intruder ", "RESIDENT"]}
    )
    assert kept
    assert found == {key: {"resident": 0, "intruder": 1} for key in (1, 2, 3)}


@pytest.mark.parametrize("alone", [1, 3])
def test_where_one_is_missing_the_other_keeps_its_place(alone):
    files = {key: ["resident", "intruder"] for key in (1, 2, 3)} | {alone: ["intruder"]}
    found, kept = places(files)
    assert kept
    assert found[alone] == {"intruder": 1}
    assert found[2] == {"resident": 0, "intruder": 1}


def test_pairs_of_other_names_are_mice_1_and_2_again():
    found, kept = places({1: ["a", "b"], 2: ["d", "c"], 3: ["c", "d"]})
    assert kept
    assert found == {1: {"a": 0, "b": 1}, 2: {"d": 0, "c": 1}, 3: {"d": 0, "c": 1}}


def test_names_that_cross_over_keep_their_place_if_they_can():
    found, kept = places({1: ["a", "b"], 2: ["c", "d"], 3: ["c", "a"]})
    assert kept
    assert {name: place for file in found.values() for name, place in file.items()} == {
        "a": 0,
        "b": 1,
        "c": 1,
        "d": 0,
    }


def test_animals_that_meet_in_turn_cannot_keep_a_place():
    found, kept = places({1: ["a", "b"], 2: ["c", "b"], 3: ["c", "a"]})
    assert not kept
    assert found == {1: {"a": 0, "b": 1}, 2: {"b": 0, "c": 1}, 3: {"a": 0, "c": 1}}


def test_files_of_too_many_animals_decide_nothing():
    found, kept = places({1: [str(i) for i in range(33)], 2: ["e", "a"]})
    assert kept
    assert found == {2: {"e": 0, "a": 1}}
    assert places({}) == ({}, True)


def test_spellings():
    assert same_name(" Mouse1") == same_name("mouse1 ") != same_name("mouse2")
