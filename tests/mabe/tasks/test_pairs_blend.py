"""The weight of a blend: what each part is worth where it has not learnt, computed by hand."""

import numpy as np
import pytest
from mouse import COMPETITION, name_parts
from pair_predictions import SETTINGS, perfect, subjects_of, task_of
from pair_store import pair_store, recording

from mabe.data.store import Store
from mabe.tasks.pairs_blend import GRID, blend, mixed


@pytest.fixture(scope="module")
def chases(tmp_path_factory):
    """Store, task, subjects and the true probabilities of four recordings of two folds, a fifth of them chases."""
    path = tmp_path_factory.mktemp("blend") / "s"
    rows = [
        recording(f"a/{i}", 600 * i, 600, ["mouse1,mouse2,chase"], group=str(i), fold=i % 2) for i in range(4)
    ]
    bouts = [(f"a/{i}", 1, 2, "chase", 50 * k, 50 * k + 10) for i in range(4) for k in range(12)]
    name_parts(pair_store(path, rows, bouts).path, COMPETITION)
    store = Store(path, (0, 1))
    task, subjects = task_of(store, 10.0), subjects_of(store.recordings(split="val"), 10.0)
    return store, task, subjects, [p.astype(np.float16) for p in perfect(store, subjects, task)]


def f_of(w: float, right: tuple[float, float]) -> float:
    """F where the action has w · right[0] + (1 - w) · right[1] and else what is left: all right, or all claimed."""
    happens = w * right[0] + (1 - w) * right[1]
    return 1.0 if happens > 0.5 else 2 * 0.2 / 1.2


@pytest.mark.parametrize(
    ("right", "chosen"),
    [
        ((1.0, 0.2), 0.5),  # 0.2 + 0.8 w is above a half from w = 0.4 on: the nearest to a half of these
        ((0.2, 0.9), 0.5),  # 0.9 - 0.7 w, up to 0.5
        ((0.1, 0.8), 0.4),  # 0.8 - 0.7 w, up to 0.4
        ((0.6, 0.05), 0.9),  # 0.05 + 0.55 w, from 0.9 on
    ],
)
def test_the_weight_with_the_best_f_is_chosen(chases, right, chosen):
    """Each part gives its number where the action happens, and 1 minus that elsewhere."""
    store, task, subjects, truth = chases
    parts = {
        name: [np.where(y > 0.5, p, 1 - p).astype(np.float16) for y in truth]
        for name, p in zip(("network", "trees"), right, strict=True)
    }
    found = blend(task, subjects, parts, store, SETTINGS)
    assert found.weights == {"network": chosen, "trees": pytest.approx(1 - chosen)}
    table = found.tables["blend.csv"]
    assert table["weight_of_network"].tolist() == list(GRID)
    np.testing.assert_allclose(table["mabe_f"], [f_of(w, right) for w in GRID], atol=1e-6)
    assert found.alone == {
        "network": pytest.approx(f_of(1, right), abs=1e-6), "trees": pytest.approx(f_of(0, right), abs=1e-6)
    }  # fmt: skip
    mean = chosen * right[0] + (1 - chosen) * right[1]
    np.testing.assert_allclose(found.probabilities[0][truth[0] > 0.5], mean, atol=1e-3)


def test_probabilities_are_weighed(chases):
    first, second = [np.float16([[0.2, 0.4]])], [np.float16([[0.6, 0.0]])]
    np.testing.assert_allclose(mixed(first, second, 0.3)[0], [[0.48, 0.12]], atol=1e-3)
    assert mixed(first, second, 0.3)[0].dtype == np.float16
