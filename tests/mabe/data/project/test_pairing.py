"""Which annotation belongs to which pose file."""

import pytest

from mabe.data.formats.annotation import Observation, table
from mabe.data.project.looking import AnnotationFile
from mabe.data.project.pairing import Video, named, pair, stem, videos_of


@pytest.mark.parametrize(
    ("name", "video"),
    [
        ("e3v-122642DLC_dlcrnetms5_pilotSep24shuffle1_100000_el_filtered.csv", "e3v-122642"),
        ("e3v-122642_reencode.csv", "e3v-122642"),
        ("Maus 7_pose_est_v5.h5", "Maus 7"),
        ("labels.v002.003_cage4.analysis.h5", "cage4"),
        ("12_annot.txt", "12"),
        ("12DLC_net.CSV.GZ", "12"),
        ("video.mp4", "video"),
        ("video.mp4.predictions.analysis.h5", "video"),
        ("tracked.csv", "tracked"),
        ("model.csv", "model"),  # it does not end in _el
        ("DLC_net.csv", "DLC_net"),
    ],
)
def test_what_trackers_and_annotators_add_is_no_part_of_the_name(name, video):
    assert stem(f"some folder/{name}") == video


def observation(name="", media=()):
    return Observation(name=name, media=media, bouts=table([]), unit="s", behaviours=())


def pairs(poses, **annotations):
    """The annotation of each pose, with annotations as file name -> observations."""
    files = [AnnotationFile(path=path, observations=tuple(of)) for path, of in annotations["files"].items()]
    return pair(videos_of(poses), named(files))


@pytest.mark.parametrize(
    ("pose", "annotation", "of"),
    [
        ("aDLC_net.csv", "a.csv", observation()),
        ("aDLC_net.csv", "x.csv", observation(media=("A.MP4",))),
        ("aDLC_net.csv", "x.csv", observation(name="a")),
        ("mouse1_day2DLC_net.csv", "mouse1.csv", observation()),
        ("mouse1.h5", "mouse1_anna.csv", observation()),
        ("mouse1.h5", "mouse1b.csv", observation()),
        ("project/a_pose_est_v5.h5", "project/jabs/annotations/a.json", observation()),
        ("Mu\u0308ller.h5", "M\u00fcller_annot.txt", observation()),  # how macOS and others write an umlaut
    ],
)
def test_they_are_paired(pose, annotation, of):
    found = pairs([pose, "otherDLC_net.csv"], files={annotation: [of]})
    assert {p: n.reference for p, n in found.annotation.items()} == {pose: annotation}


@pytest.mark.parametrize("annotation", ["mouse10.csv", "mous.csv", "mouse.csv", "2mouse1.csv"])
def test_a_name_that_goes_on_otherwise_is_another(annotation):
    found = pairs(["mouse1.h5"], files={annotation: [observation()]})
    assert (found.annotation, found.orphans) == ({}, [annotation])


def test_one_of_several_observations_is_named_with_its_file():
    of = [observation(name="day 1", media=("a.mp4",)), observation(name="day 2", media=("b.mp4",))]
    found = pairs(["a.h5", "b.h5"], files={"all.boris": of})
    assert {p: n.reference for p, n in found.annotation.items()} == {
        "a.h5": "all.boris#day 1",
        "b.h5": "all.boris#day 2",
    }


def test_videos_of_one_observation_are_told_apart():
    of = [observation(name="day", media=("a.mp4",)), observation(name="day", media=("b.mp4",))]
    found = pairs(["a.h5", "b.h5"], files={"all.boris": of})
    assert found.annotation["b.h5"].reference == "all.boris#b.mp4"


def test_of_several_annotations_none_is_taken():
    found = pairs(["a.h5"], files={"a.csv": [observation()], "a_annot.txt": [observation()]})
    assert (found.annotation, found.several) == ({}, {"a.h5": ["a.csv", "a_annot.txt"]})


def test_the_nearer_of_two_files_of_one_name_is_meant():
    poses = ["cage1/trial.h5", "cage2/trial.h5"]
    found = pairs(poses, files={"cage2/scored/trial.csv": [observation()]})
    assert [*found.annotation] == ["cage2/trial.h5"]
    found = pairs(poses, files={"trial.csv": [observation()]})
    assert (found.annotation, found.unclear) == ({}, {"trial.csv": poses})


def test_of_several_pose_files_of_a_video_the_filtered_or_newest_is_read():
    poses = ["aDLC_net.h5", "aDLC_net.csv", "aDLC_net_filtered.csv", "b_pose_est_v2.h5", "b_pose_est_v5.h5"]
    assert videos_of(poses) == [
        Video(pose="aDLC_net_filtered.csv", passed_over=("aDLC_net.csv", "aDLC_net.h5")),
        Video(pose="b_pose_est_v5.h5", passed_over=("b_pose_est_v2.h5",)),
    ]
