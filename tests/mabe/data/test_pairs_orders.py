"""Actions of a pair without a direction: both orders are learnt from, and predicted as their mean."""

import numpy as np
import pandas as pd
from pair_store import recording

from mabe.data.pairs import asked, in_both_orders, subjects_of

TOGETHER = ("huddle",)


def rows(*listed: list[str]) -> pd.DataFrame:
    return pd.DataFrame([recording(f"a/{i}", 0, 10, of) for i, of in enumerate(listed)])


def table(subjects: pd.DataFrame) -> list[tuple]:
    return [tuple(row) for row in subjects[["recording", "agent", "target", "listed", "shared"]].to_numpy()]


def test_the_other_order_shares_what_has_no_direction_and_asks_for_nothing():
    found = subjects_of(rows(["mouse1,mouse2,huddle", "mouse1,self,rear"], ["mouse1,mouse3,chase"]), TOGETHER)
    assert table(found) == [
        ("a/0", 1, 2, ("huddle",), ("huddle",)),
        ("a/0", 1, 1, ("rear",), ()),
        ("a/1", 1, 3, ("chase",), ()),
        ("a/0", 2, 1, (), ("huddle",)),
    ]
    assert table(asked(found)) == table(found)[:3]


def test_an_order_with_actions_of_its_own_shares_them_beside():
    listed = ["mouse1,mouse2,huddle", "mouse1,mouse2,chase", "mouse2,mouse1,chase"]
    assert table(subjects_of(rows(listed), TOGETHER)) == [
        ("a/0", 1, 2, ("chase", "huddle"), ("huddle",)),
        ("a/0", 2, 1, ("chase",), ("huddle",)),
    ]


def test_without_such_actions_subjects_are_those_that_are_listed():
    listed = ["mouse1,mouse2,huddle", "mouse2,mouse1,chase"]
    found = subjects_of(rows(listed))
    assert table(found) == [("a/0", 1, 2, ("huddle",), ()), ("a/0", 2, 1, ("chase",), ())]


def test_predictions_are_the_mean_of_both_orders_where_there_is_no_direction():
    listed = ["mouse1,mouse2,huddle", "mouse1,mouse2,chase", "mouse2,mouse1,chase"]
    every = subjects_of(rows(listed, ["mouse1,mouse2,huddle"], ["mouse1,self,rear"]), TOGETHER)
    names, calls = ("chase", "huddle", "rear"), []

    def predict(subjects):
        calls.append(list(subjects.index))
        for number in subjects.index:
            yield np.full((2, 3), 10.0 * number, np.float32)

    found = dict(zip(asked(every).index, in_both_orders(asked(every), every, names, predict), strict=True))
    assert table(every)[4] == ("a/1", 2, 1, (), ("huddle",))
    assert calls == [[0, 1, 2, 4, 3]]  # each once, the other order beside it
    assert found[0][0].tolist() == [0.0, 5.0, 0.0]
    assert found[1][0].tolist() == [10.0, 5.0, 10.0]
    assert found[2][0].tolist() == [20.0, 30.0, 20.0]
    assert found[3][0].tolist() == [30.0, 30.0, 30.0]
