"""BORIS's project: state events in turn, the ethogram, several videos and what is wrong with it."""

import gzip
import json

import pytest
from annotations_made import FORMATS, listed, needs_formats, saved

from mabe.data.formats import annotation
from mabe.errors import InputError

EVENTS = [
    [4.25, "adult", "sniff", "", ""],
    [1.5, "adult", "sniff", "", ""],
    [2.0, "No focal subject", "rear", "", "a comment", 50],
    [3.0, "young", "sniff", "left", ""],
    [5.0, "young", "sniff", "left", ""],
]


def project(**changes):
    """A project of one observation, of which `changes` replace parts."""
    observation = {
        "file": {"1": ["D:\\videos\\mice.mp4"], "2": []},
        "type": "MEDIA",
        "time offset": 0.0,
        "events": EVENTS,
        "observation time interval": [0, 0],
        "media_info": {"length": {"D:\\videos\\mice.mp4": 60.0}, "fps": {"D:\\videos\\mice.mp4": 25.0}},
    }
    return {
        "behaviors_conf": {
            "0": {"type": "State event", "code": "sniff"},
            "1": {"type": "Point event with coding map", "code": "rear"},
            "2": {"type": "State event", "code": "never seen"},
        },
        "observations": {"obs 1": observation | changes},
    }


def write(path, **changes):
    return saved(path, json.dumps(project(**changes)))


def test_states_in_turn_points_and_the_whole_ethogram(tmp_path):
    (seen,) = annotation.read(write(tmp_path / "a.boris"))
    assert listed(seen.bouts) == [("adult", "sniff", 1.5, 4.25), ("", "rear", 2, 2), ("young", "sniff", 3, 5)]
    assert (seen.name, seen.media, seen.unit, seen.fps) == ("obs 1", ("mice.mp4",), "s", 25.0)
    assert (seen.behaviours, seen.annotated) == (("sniff", "rear", "never seen"), None)
    assert seen.notes == {"modifiers_left_out": "left"}


def test_compressed_and_without_events(tmp_path):
    text = json.dumps(project(events=[]))
    (seen,) = annotation.read(saved(tmp_path / "a.BORIS.gz", gzip.compress(text.encode())))
    assert (len(seen.bouts), seen.behaviours) == (0, ("sniff", "rear", "never seen"))


def test_an_interval_and_an_offset(tmp_path):
    """BORIS adds the offset to the events but not to the interval."""
    path = write(tmp_path / "a.boris", **{"time offset": 0.5, "observation time interval": [1, 4]})
    (seen,) = annotation.read(path)
    assert seen.annotated == (1, 4)
    assert listed(seen.bouts)[0] == ("adult", "sniff", 1.0, 3.75)


def test_a_time_line_over_two_videos_and_a_second_player(tmp_path):
    lengths, rates = {"/v/one.mp4": 3.5, "/v/two.mp4": 10}, {"/v/one.mp4": 1000.0, "/v/two.mp4": 30}
    changes = {
        "file": {"1": ["/v/one.mp4", "/v/two.mp4"], "2": ["/v/side.mp4"]},
        "media_info": {"length": lengths, "fps": rates},
        "observation time interval": [1, 8],
    }
    one, two = annotation.read(write(tmp_path / "a.boris", **changes))
    assert listed(one.bouts) == [("adult", "sniff", 1.5, 3.5), ("", "rear", 2, 2), ("young", "sniff", 3, 3.5)]
    assert listed(two.bouts) == [("adult", "sniff", 0, 0.75), ("young", "sniff", 0, 1.5)]
    assert (one.media, one.fps, one.annotated) == (("one.mp4",), None, (1, 3.5))
    assert (two.media, two.fps, two.annotated) == (("two.mp4",), 30.0, (0, 4.5))
    assert one.notes["annotation_fps"] == "1000.0"
    assert two.notes["other_players"] == "1 of observation 'obs 1'"


def test_a_live_observation(tmp_path):
    (seen,) = annotation.read(write(tmp_path / "a.boris", type="LIVE", file=[], media_info=None))
    assert (seen.media, seen.fps, len(seen.bouts)) == ((), None, 3)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"events": EVENTS[1:]},
            ", event 1 of observation 'obs 1': the START of 'sniff' of adult at 1.5 s has no STOP",
        ),
        (
            {"events": [[1, "a", "dig", "", ""]]},
            ": the ethogram has no 'dig', the code of event 1 of observation",
        ),
        ({"events": [[None, "a", "rear", ""]]}, ": the time of event 1 of observation 'obs 1' is null"),
        (
            {"events": [[float("nan"), "a", "rear", ""]]},
            ": the time of event 1 of observation 'obs 1' is nan",
        ),
        ({"events": [[1, "a"]]}, ": event 1 of observation 'obs 1' has no time, subject and code"),
        ({"events": {"a": 1}}, ": events of 'obs 1' is {\"a\": 1}"),
        ({"type": "IMAGES"}, ": observation 'obs 1' is of images"),
        (
            {"file": {"1": ["a.mp4", "b.mp4"]}},
            ": observation 'obs 1' runs over the videos a.mp4, b.mp4, and the file does not say how long a.mp4 is",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path, changes, says):
    path = write(tmp_path / "a.boris", **changes)
    with pytest.raises(InputError) as error:
        annotation.read(path)
    assert str(error.value).startswith(f"{path}{says}")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"observations": {"a": ', ", line 1: this is no JSON"),
        ('{"observations": ' + "[" * 100_000, " is no JSON that can be read"),
        ('{"observations": {}}', ": behaviors_conf of the project is null"),
        ('{"behaviors_conf": {}, "observations": []}', ": observations of the project is []"),
        ("not JSON", " is in no format of annotations"),
    ],
)
def test_damaged_files(tmp_path, content, says):
    path = saved(tmp_path / "a.boris", content)
    with pytest.raises(InputError) as error:
        annotation.read(path)
    assert str(error.value).startswith(f"{path}{says}")


@needs_formats
def test_a_real_project_has_the_bouts_of_its_table():
    (project,) = annotation.read(FORMATS / "ethome" / "test-multi-behaviors.boris")
    (table,) = annotation.read(FORMATS / "ethome" / "test-simultaneous-events.csv")
    assert listed(project.bouts) == listed(table.bouts) == [
        ("mouse", "mm", 9.955, 11.256), ("mouse", "mm", 26.605, 31.705), ("mouse", "aa", 28.205, 30.63),
    ]  # fmt: skip
    assert (project.name, project.media, project.fps) == (table.name, table.media, table.fps)
    assert project.behaviours == ("aa", "mm")
