"""How far seeds spread, from what `dvc exp show --csv` says; that it says so is tested in test_dvc.py."""

import shutil

import pandas as pd
import pytest
from workspace import ROOT

from mabe.errors import InputError
from tools import experiments


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """A function that sets the table of `dvc exp show`: rows of typ, learning_rate, seed, batch_size, f1_macro."""
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    monkeypatch.chdir(tmp_path)

    def set_rows(*rows):
        names = ["typ", "learning_rate", "seed", "batch_size", "f1_macro"]
        table = pd.DataFrame([[str(value) for value in row] for row in rows], columns=names)
        monkeypatch.setattr(experiments, "exp_show", lambda *options: table)

    return set_rows


def printed(capsys):
    title, *rows = capsys.readouterr().out.splitlines()
    return title, [row.split() for row in rows]


def test_mean_and_deviation_are_of_runs_that_differ_in_their_seed_alone(shown, capsys):
    shown(
        ("baseline", 0.0003, 42, 64, 0.99),
        ("branch_commit", 0.0003, 1, 64, 0.5),
        ("branch_commit", 0.0003, 2, 64, 0.7),
        ("branch_commit", 0.0003, 2, 64, 0.7),  # again: no further seed
        ("branch_commit", 0.0003, 3, 64, ""),  # queued
        ("branch_commit", 0.0004, 1, 64, 0.1),
        ("branch_commit", 0.0004, 2, 64, 0.2),
        ("branch_base", 0.0004, 3, 64, 0.3),
        ("branch_commit", 0.0003, 1, 384, 0.9),  # another configuration, of one seed
    )
    experiments.spread("f1_macro")
    assert printed(capsys) == (
        "f1_macro over seeds",
        [
            ["learning_rate", "n", "mean", "std"],
            ["0.0003", "2", "0.6", "0.1414"],
            ["0.0004", "3", "0.2", "0.1000"],
        ],
    )


def test_without_seeds_the_message_says_how_to_run_them(shown):
    shown(("baseline", 0.0003, 42, 64, 0.9), ("branch_commit", 0.0003, 1, 64, 0.5))
    with pytest.raises(InputError, match=r"differ in their seed alone: dvc exp run --queue -S 'seed=1,2,3'"):
        experiments.spread("f1_macro")


def test_an_unknown_metric_is_named(shown):
    shown(("branch_commit", 0.0003, 1, 64, 0.5))
    with pytest.raises(InputError, match="has the metric f1_makro"):
        experiments.spread("f1_makro")


def test_a_refusal_of_dvc_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"`dvc exp show --csv .*` failed: "):
        experiments.exp_show()
