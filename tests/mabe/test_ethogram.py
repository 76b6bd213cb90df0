"""Ethograms: those of conf/, and what is said of a file that is wrong."""

import copy

import pytest
import yaml
from mouse import COMPETITION, COMPETITION_FILE, RATS

from mabe import ethogram
from mabe.errors import InputError
from mabe.ethogram import Ethogram, class_scheme

SMALL = {
    "of_oneself": ["rest"],
    "of_another": ["bite", "sniff"],
    "classes": {"two": {"none": [], "social": ["bite", "sniff"]}},
}


def read(path, **changes):
    path.write_text(yaml.safe_dump({**copy.deepcopy(SMALL), **changes}, sort_keys=False))
    return ethogram.read(path)


def test_the_competition_has_37_actions_and_the_table_of_classes_one_more():
    assert (len(COMPETITION.of_oneself), len(COMPETITION.of_another)) == (11, 26 + 1)
    scheme = COMPETITION.scheme("mabe4", ("mating",))
    assert scheme == class_scheme("mabe4", ("mating",))
    assert scheme.names == ("background", "social", "mating", "aggressive")
    assert [scheme.class_id(a) for a in ("rear", "sniff", "mount", "bite")] == [0, 1, 2, 3]
    assert scheme.scored == (0, 1, 3)
    assert (scheme.competition, RATS.scheme("caltech_s1").competition) == (True, False)


def test_a_store_holds_what_the_file_holds():
    assert Ethogram.from_dict(COMPETITION.to_dict(), "") == COMPETITION == ethogram.read(COMPETITION_FILE)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"of_oneself": "rest"}, "of_oneself must be a list of names"),
        ({"of_oneself": ["sniff"]}, "of_oneself, of_another and of_pair together names sniff twice"),
        ({"competition": "yes"}, "competition must be true or false"),
        ({"competitions": True}, "unknown key 'competitions': did you mean competition?"),
        ({"classes": {"two": {"one": []}}}, "classes two must have two classes or more"),
        (
            {"classes": {"two": {"a": [], "b": ["snif"]}}},
            "classes two: b: unknown action 'snif': did you mean sniff?",
        ),
        ({"classes": {"two": {"a": ["bite"], "b": ["bite"]}}}, "classes two has bite in two classes"),
    ],
)
def test_a_file_that_is_wrong_is_one_sentence(tmp_path, changes, says):
    with pytest.raises(InputError) as told:
        read(tmp_path / "e.yaml", **changes)
    assert str(told.value).startswith(f"{tmp_path / 'e.yaml'}: {says}")


def test_a_name_that_the_ethogram_lacks():
    with pytest.raises(InputError, match=r"unknown action 'atack': did you mean attack\?"):
        COMPETITION.check("atack")
    with pytest.raises(InputError, match=r"unknown class_scheme 'mabe5': did you mean mabe4\?"):
        class_scheme("mabe5")
    with pytest.raises(
        InputError, match=r"ignore_classes: unknown class of mabe4 'sozial': did you mean social\?"
    ):
        COMPETITION.scheme("mabe4", ("sozial",))
