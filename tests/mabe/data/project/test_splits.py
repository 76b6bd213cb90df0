"""Which recordings validate."""

import random

import pytest

from mabe.data.project.splits import choose


def rows(*names, **cells):
    empty = {"annotation": "x", "lab": "own", "group": "", "split": ""}
    return [{**empty, "recording": name, **cells} for name in names]


def sides(table):
    return {row["recording"]: row["split"] for row in table}


@pytest.mark.parametrize(("count", "held_out"), [(1, 0), (2, 1), (5, 1), (10, 2), (13, 3), (100, 20)])
def test_about_a_fifth_validates(count, held_out):
    table = rows(*(f"r{i}" for i in range(count)))
    choose(table)
    assert list(sides(table).values()).count("val") == held_out
    assert list(sides(table).values()).count("train") == count - held_out


def test_the_order_of_rows_does_not_matter():
    names = [f"r{i}" for i in range(20)]
    first, second = rows(*names), rows(*random.Random(0).sample(names, 20))
    choose(first)
    choose(second)
    assert sides(first) == sides(second)


def test_recordings_that_come_later_move_none():
    table = rows(*(f"r{i}" for i in range(10)))
    choose(table)
    before = sides(table)
    table += rows(*(f"s{i}" for i in range(10)))
    choose(table)
    after = sides(table)
    assert {name: after[name] for name in before} == before
    assert list(after.values()).count("val") == 4


def test_a_group_is_on_one_side_also_when_it_grows():
    table = [row for g in "abcde" for row in rows(*(f"{g}{i}" for i in range(3)), group=g)]
    choose(table)
    table += rows("a9", "b9", "c9", "d9", "e9")
    for row in table[-5:]:
        row["group"] = row["recording"][0]
    choose(table)
    for g in "abcde":
        assert len({row["split"] for row in table if row["group"] == g}) == 1
    assert {row["split"] for row in table} == {"train", "val"}


def test_what_the_user_chose_stays_and_other_rows_get_none():
    table = [*rows("a", split="Val"), *rows("b", "c"), *rows("d", annotation=""), *rows("e", split="test")]
    choose(table)
    assert sides(table) == {"a": "Val", "b": "train", "c": "train", "d": "", "e": "test"}


def test_every_laboratory_validates():
    table = rows("a", "b", lab="one") + rows("c", "d", lab="two") + rows("e", lab="three")
    choose(table)
    by_lab = {lab: [r["split"] for r in table if r["lab"] == lab] for lab in ("one", "two", "three")}
    assert {lab: splits.count("val") for lab, splits in by_lab.items()} == {"one": 1, "two": 1, "three": 0}


def test_a_group_in_two_laboratories_is_on_one_side():
    for seed in range(10):
        table = rows(*(f"{seed}-{i}" for i in range(12)))
        for i, row in enumerate(table):
            row |= {"lab": "ab"[i % 2], "group": f"cage {i // 4}"}
        choose(table)
        for cage in range(3):
            assert len({row["split"] for row in table if row["group"] == f"cage {cage}"}) == 1
