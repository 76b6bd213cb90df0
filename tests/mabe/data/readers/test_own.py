"""Own recordings as the store gets them: from made files, and from a real pair where it is at hand."""

import json
import shutil

import numpy as np
import own_made
import pandas as pd
import pytest
import yaml
from lab_files import FORMATS, needs

from mabe import ethogram, skeleton
from mabe.data.ingest import ingest
from mabe.data.project import table
from mabe.data.project.init import init
from mabe.data.readers import own
from mabe.data.store import Store
from mabe.errors import InputError
from mabe.params import IngestParams

STILL = {who: np.full((600, 2), 100.0 + 50 * i) for i, who in enumerate(own_made.MICE)}
THREE = {who: np.full((600, 2), 100.0 + 50 * i) for i, who in enumerate(own_made.FLIES)}


def source(folder):
    path = folder / "project.yaml"
    return own.open_source(folder, skeleton.read(path), ethogram.read(path))


def recordings(folder):
    of = source(folder)
    return {entry.name: of.read(entry) for entry in of.entries()}


def bouts(recording):
    return [
        tuple(row)
        for row in recording.bouts[["agent", "target", "action", "start_frame", "stop_frame"]].values
    ]


def edit(folder, **changes):
    """Changes keys of project.yaml; those of ethogram one by one."""
    path = folder / "project.yaml"
    values = yaml.safe_load(path.read_text())
    values["ethogram"] |= changes.pop("ethogram", {})
    path.write_text(yaml.safe_dump(values | changes, allow_unicode=True))


def cells(folder, **changes):
    """Sets columns of all rows of recordings.csv."""
    path = folder / "recordings.csv"
    found = table.read(path)
    for row in found.rows:
        row.update(changes)
    table.write(path, found)


def project_of(folder, tracks, rows, **options):
    """A folder of one recording, `a`, after init."""
    own_made.dlc(folder / "aDLC_net.csv", tracks)
    own_made.boris(folder / "a.csv", rows, **options)
    init(folder)
    cells(folder, split="")  # of one recording nobody can choose
    return folder


def table_of(folder, rows, columns):
    """As `project_of` with three animals and a table of bouts at 30 Hz."""
    own_made.dlc(folder / "aDLC_net.csv", THREE, own_made.FLY_PARTS)
    pd.DataFrame(rows, columns=columns).to_csv(folder / "a.csv", index=False)
    init(folder)
    cells(folder, fps="30", split="")
    return folder


def test_tracks_lie_at_their_animal_and_part(tmp_path):
    project_of(tmp_path, STILL, [("adult", "sniff", 1.0, 2.0)])
    of = recordings(tmp_path)["a"]
    names = [(animal, skeleton.read(tmp_path / "project.yaml").parts[part]) for animal, part in of.keypoints]
    assert names == sorted(names, key=lambda n: n[0])
    assert {name for animal, name in names if animal == 0} == {
        "nose",
        "ear_left",
        "ear_right",
        "neck",
        "hip_left",
        "hip_right",
        "tail_base",
    }
    for (animal, part), track in zip(names, of.tracks, strict=True):
        along = {"nose": 30, "neck": 12, "tail_base": -30}.get(part, 20 if "ear" in part else -15)
        np.testing.assert_allclose(track[:, 0], 100 + 50 * animal + along)
    assert (of.tracks.dtype, of.likelihood.dtype) == (np.float32, np.float32)
    assert (of.likelihood == 1).all()
    assert of.first_frame == 0


def test_seconds_become_the_nearest_frames_and_no_bout_vanishes(tmp_path):
    rows = [("adult", "sniff", 1.01, 2.02), ("juvenile", "rear", 5.001, 5.002), ("adult", "rear", 7.0, 7.0)]
    project_of(tmp_path, STILL, rows)
    of = recordings(tmp_path)["a"]
    assert bouts(of) == [(1, 2, "sniff", 30, 61), (2, 2, "rear", 150, 151)]
    assert of.annotated == (0, 600)
    edit(tmp_path, point_events="frame", annotated="bouts")
    of = recordings(tmp_path)["a"]
    assert bouts(of)[-1] == (1, 1, "rear", 210, 211)
    assert of.annotated == (30, 211)


def test_frames_from_the_first_to_the_last_bout_where_the_user_says_so_whatever_the_file_says(tmp_path):
    project_of(tmp_path, STILL, [("adult", "sniff", 1.0, 2.0), ("adult", "rear", 4.0, 5.0)])
    pd.DataFrame({"frame": range(600), "sniff": 0, "rear": [int(30 <= f < 60) for f in range(600)]}).to_csv(
        tmp_path / "a.csv", index=False
    )
    edit(tmp_path, subjects={}, ethogram={"of_pair": ["sniff", "rear"], "of_another": [], "of_oneself": []})
    assert recordings(tmp_path)["a"].annotated == (0, 600)
    edit(tmp_path, annotated="bouts")
    assert recordings(tmp_path)["a"].annotated == (30, 60)
    edit(tmp_path, behaviours={"sniff": "sniff", "rear": None})
    assert recordings(tmp_path)["a"].annotated == (0, 0)  # no bout is left: nothing is known to be absent


def test_two_behaviours_that_are_one_action_are_one_bout_where_they_overlap(tmp_path):
    rows = [("adult", "sniff", 1.0, 4.0), ("adult", "rear", 2.0, 5.0), ("adult", "rear", 6.0, 7.0)]
    project_of(tmp_path, STILL, rows)
    edit(tmp_path, behaviours={"sniff": "sniff", "rear": "sniff"})
    assert bouts(recordings(tmp_path)["a"]) == [(1, 2, "sniff", 30, 150), (1, 2, "sniff", 180, 210)]


def test_all_that_may_happen_was_looked_for(tmp_path):
    project_of(tmp_path, STILL, [("adult", "sniff", 1.0, 2.0), ("juvenile", "rear", 3.0, 4.0)])
    edit(tmp_path, ethogram={"of_pair": ["huddle"]})
    assert set(recordings(tmp_path)["a"].behaviors_labeled) == {
        "mouse1,mouse2,sniff",
        "mouse2,mouse1,sniff",
        "mouse1,mouse2,huddle",
        "mouse1,self,rear",
        "mouse2,self,rear",
    }


def test_what_nobody_watched_was_not_looked_for(tmp_path):
    project_of(tmp_path, STILL, [("adult", "sniff", 1.0, 2.0), ("adult", "rear", 3.0, 4.0)])
    edit(tmp_path, watched=["Adult"], ethogram={"of_pair": ["huddle"]})
    found = recordings(tmp_path)["a"].behaviors_labeled
    assert found == ("mouse1,mouse2,sniff", "mouse1,mouse2,huddle", "mouse1,self,rear")
    edit(tmp_path, watched=["juvenile"])
    found = recordings(tmp_path)["a"].behaviors_labeled
    assert found == ("mouse2,mouse1,sniff", "mouse1,mouse2,huddle", "mouse2,self,rear")


def test_a_file_that_lists_its_behaviours_was_looked_at_for_these_alone(tmp_path):
    project_of(tmp_path / "x", STILL, [("adult", "sniff", 1.0, 2.0), ("juvenile", "rear", 3.0, 4.0)])
    frames = pd.DataFrame({"frame": range(600), "background": 1, "rear": 0})
    frames.loc[10:19, "rear"] = 1
    own_made.dlc(tmp_path / "x/bDLC_net.csv", STILL)
    frames.to_csv(tmp_path / "x/b.csv", index=False)
    init(tmp_path / "x")
    cells(tmp_path / "x", fps="30")
    edit(tmp_path / "x", ethogram={"of_oneself": [], "of_another": ["sniff"], "of_pair": ["rear"]})
    of = recordings(tmp_path / "x")["b"]
    assert bouts(of) == [(1, 2, "rear", 10, 20)]
    assert of.behaviors_labeled == ("mouse1,mouse2,rear",)


def test_prefixes_left_out_parts_and_spellings(tmp_path):
    xy = np.tile([[5.0, 6.0]], (600, 1))
    parts = [
        f"{who}_{part}" for who in "BW" for part in ("Nose", "Left_ear", "Right_ear", "Tail_base", "cable")
    ]
    own_made.single(tmp_path / "aDLC_net.csv", xy, parts)
    own_made.boris(tmp_path / "a.csv", [("W", "SNIFF", 1.0, 2.0), ("w", "sniff", 3.0, 4.0)])
    init(tmp_path)
    cells(tmp_path, split="")
    of = recordings(tmp_path)["a"]
    assert of.keypoints[:, 0].tolist() == [0] * 4 + [1] * 4
    assert bouts(of) == [(2, 1, "sniff", 30, 60), (2, 1, "sniff", 90, 120)]


def test_two_names_of_one_part_are_averaged(tmp_path):
    project_of(tmp_path, STILL, [("adult", "sniff", 1.0, 2.0)])
    edit(tmp_path, skeleton={"like": "mouse18", "aliases": {"lefthip": "ear_left", "leftear": "ear_left"}})
    of = recordings(tmp_path)["a"]
    ear = skeleton.read(tmp_path / "project.yaml").parts.index("ear_left")
    (track,) = of.tracks[(of.keypoints == (0, ear)).all(axis=1)]
    np.testing.assert_allclose(track[:, 0], 100 + (20 - 15) / 2)


def test_recordings_have_ids_scales_groups_and_splits(tmp_path):
    own_made.mice(tmp_path, 3)
    init(tmp_path)
    cells(tmp_path, reference_px="300", reference_cm="10", group="cage 1", lab="uni")
    entries = source(tmp_path).entries()
    assert [e.id for e in entries] == ["uni/pair 1", "uni/pair 2", "uni/pair 3"]
    assert {(e.px_per_cm, e.group, e.set, e.fps) for e in entries} == {(30.0, "cage 1", "train", 30.0)}
    assert sorted(str(e.split) for e in entries) == ["train", "train", "val"]
    assert len({e.video_id for e in entries}) == 3
    assert own.video_id("pair 1") == own.video_id("Pair 1") == 4_462_596_884_170_577
    cells(tmp_path, split="test")
    entries = source(tmp_path).entries()
    assert {(e.set, e.annotation, e.split) for e in entries} == {("test", None, None)}
    assert recordings(tmp_path)["pair 1"].behaviors_labeled[:2] == (
        "mouse1,mouse2,sniff",
        "mouse2,mouse1,sniff",
    )


@pytest.mark.parametrize("number", [1, 2**53 - 1])
def test_video_ids_are_whole_numbers_that_a_float_holds(number):
    assert 1 <= own.video_id(f"r{number}") < 2**53


def params(folder, **changes):
    values = {
        "data_source": "own",
        "data_dir": str(folder),
        "skeleton": str(folder / "project.yaml"),
        "ethogram": str(folder / "project.yaml"),
        "split_file": None,
        "val_fraction": 0.2,
        "num_folds": 5,
        "seed": 0,
        "on_error": "stop",
        "include_unlabelled": False,
        "min_likelihood": None,
        "max_gap_s": 0.5,
    }
    return IngestParams(**values | changes)


def test_ingest_keeps_the_split_of_the_table(tmp_path):
    own_made.mice(tmp_path / "my-data", 6)
    init(tmp_path / "my-data")
    metrics = ingest(params(tmp_path / "my-data"), tmp_path / "store")
    store = Store(tmp_path / "store")
    rows = table.read(tmp_path / "my-data/recordings.csv").rows
    assert dict(zip(store.manifest["recording"], store.manifest["split"], strict=True)) == {
        f"own/{row['recording']}": row["split"] for row in rows
    }
    assert metrics["bouts"] == sum(len(r.bouts) for r in recordings(tmp_path / "my-data").values())
    assert store.parts == ("nose", "ear_left", "ear_right", "neck", "hip_left", "hip_right", "tail_base")


def test_unlabelled_recordings_are_kept_where_asked_for(tmp_path):
    own_made.mice(tmp_path / "my-data", 4)
    (tmp_path / "my-data/pair 2.csv").unlink()
    init(tmp_path / "my-data")
    cells(tmp_path / "my-data", fps="30")
    assert ingest(params(tmp_path / "my-data"), tmp_path / "a")["recordings"] == 3
    found = ingest(params(tmp_path / "my-data", include_unlabelled=True), tmp_path / "b")
    assert (found["recordings"], found["counts"]["unlabelled"]) == (4, 1)


# What is wrong, each in one sentence.


def refused(folder, says):
    with pytest.raises(InputError, match=says) as caught:
        recordings(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_the_two_files_the_error_says_what_writes_them(tmp_path):
    with pytest.raises(InputError, match=r"there is no .*project.yaml: run `mabe init"):
        own.open_source(tmp_path, None, None)
    project_of(tmp_path, STILL, [("adult", "sniff", 1.0, 2.0)])
    (tmp_path / "recordings.csv").unlink()
    refused(tmp_path, r"there is no .*recordings.csv: run `mabe init")


def test_names_from_another_file_are_refused(tmp_path):
    project_of(tmp_path, STILL, [("adult", "sniff", 1.0, 2.0)])
    with pytest.raises(InputError, match="set skeleton and ethogram to it"):
        own.open_source(
            tmp_path, skeleton.read("conf/skeleton/mouse18.yaml"), ethogram.read(tmp_path / "project.yaml")
        )


def test_all_unknown_names_of_all_recordings_at_once(tmp_path):
    own_made.mice(tmp_path, 2)
    init(tmp_path)
    own_made.dlc(tmp_path / "pair 1DLC_net_el_filtered.csv", STILL, own_made.PARTS | {"noze": 1.0})
    own_made.dlc(
        tmp_path / "pair 2DLC_net_el_filtered.csv", {"adlt": STILL["adult"], "juvenile": STILL["juvenile"]}
    )
    own_made.boris(tmp_path / "pair 2.csv", [("judge", "snif", 1.0, 2.0)])
    says = refused(tmp_path, "project.yaml does not know")
    for name in (
        "body part 'noze' (pair 1; did you mean nose?)",
        "animal 'adlt' (pair 2; did you mean adult?)",
        "subject 'judge' (pair 2)",
        "behaviour 'snif' (pair 2; did you mean sniff?)",
    ):
        assert name in says
    assert says.endswith(f"run `mabe init {tmp_path}`, which adds them, and check what they stand for")


def test_all_recordings_without_a_frame_rate_at_once(tmp_path):
    own_made.flies(tmp_path, 2)
    init(tmp_path)
    says = refused(tmp_path, "no frame rate is known of trial1, trial2")
    for way in ("column fps", "pose or annotation files", "videos beside them"):
        assert way in says


def test_a_bout_of_nobody_needs_a_word(tmp_path):
    project_of(tmp_path, STILL, [("adult", "sniff", 1.0, 2.0), ("watcher", "sniff", 3.0, 4.0)])
    says = refused(tmp_path, "has sniff by 'watcher', which is none of the animals")
    assert "subjects of" in says
    assert "of_pair" in says
    edit(tmp_path, ethogram={"of_another": [], "of_pair": ["sniff"]})
    assert bouts(recordings(tmp_path)["a"]) == [(1, 2, "sniff", 30, 60), (1, 2, "sniff", 90, 120)]
    edit(tmp_path, ethogram={"of_oneself": ["sniff"], "of_pair": []})
    refused(tmp_path, "one of 2 animals: write who it is into subjects")


COLUMNS = ["subject", "target", "behaviour", "start_frame", "stop_frame"]


def test_of_three_animals_the_target_must_be_named(tmp_path):
    table_of(tmp_path, [("Ann", "Bob", "chase", 10, 20), ("Ann", "", "chase", 30, 40)], COLUMNS)
    refused(tmp_path, r"names no target of chase, and there are 3 animals")
    table_of(tmp_path, [("Ann", "Cleo", "chase", 10, 20), ("Cleo", "Bob", "chase", 30, 40)], COLUMNS)
    assert bouts(recordings(tmp_path)["a"]) == [(1, 3, "chase", 10, 20), (3, 2, "chase", 30, 40)]
    table_of(tmp_path, [("Ann", "Ann", "chase", 10, 20), ("Ann", "Bob", "chase", 30, 40)], COLUMNS)
    refused(tmp_path, "chase is of Ann towards itself")


def test_of_three_animals_a_pair_must_be_named(tmp_path):
    table_of(tmp_path, [("", "", "huddle", 10, 20)], COLUMNS)
    refused(tmp_path, "does not say which two of 3 animals do huddle")


def test_an_animal_that_is_not_tracked_cannot_act(tmp_path):
    own_made.flies(tmp_path, 2)
    init(tmp_path)
    cells(tmp_path, fps="30")
    two = {name: THREE[name] for name in ("Ann", "Bob")}
    own_made.dlc(tmp_path / "trial1DLC_net.csv", two, own_made.FLY_PARTS)
    refused(tmp_path, "has a bout of Cleo, which the pose file does not track")


def test_two_animals_of_one_name_or_number(tmp_path):
    project_of(tmp_path, STILL, [("adult", "sniff", 1.0, 2.0)])
    edit(tmp_path, animals={"adult": 1, "juvenile": 1})
    refused(tmp_path, "adult and juvenile have the same number 1 in animals of")
    same = {"adult": STILL["adult"], "Adult": STILL["adult"]}
    own_made.dlc(tmp_path / "aDLC_net.csv", same)
    refused(tmp_path, r"aDLC_net\.csv.*Adult")


def test_pose_and_annotation_that_do_not_belong_together(tmp_path):
    project_of(tmp_path, STILL, [("adult", "sniff", 100.0, 120.0)], seconds=200.0)
    refused(
        tmp_path,
        r"a\.csv: all of its 1 bouts lie outside .*aDLC_net\.csv, which has frames 0 to 599 at 30 fps",
    )
    rows = [("adult", "sniff", 1.0, 2.0), ("adult", "sniff", 18.0, 100.0)]
    project_of(tmp_path / "late", STILL, rows, seconds=200.0, media="other 77.mp4")
    cells(tmp_path / "late", fps="25", pose="aDLC_net.csv")
    (tmp_path / "late/aDLC_net.csv").rename(tmp_path / "late/cage12DLC_net.csv")
    cells(tmp_path / "late", pose="cage12DLC_net.csv")
    notes = recordings(tmp_path / "late")["a"].notes
    assert notes["rates_differ"] == "a.csv says 30 fps, the recording has 25"
    assert notes["bouts_beyond"] == "the last bout ends at 100.0 s, the pose at 24.0 s"
    assert notes["other_media"] == "a.csv is of other 77.mp4"


def test_an_empty_annotation_says_that_nothing_happened(tmp_path):
    own_made.mice(tmp_path, 2)
    init(tmp_path)
    own_made.boris(tmp_path / "pair 1.csv", [])
    of = recordings(tmp_path)["pair 1"]
    assert len(of.bouts) == 0
    assert of.annotated == (0, 600)
    assert of.behaviors_labeled


def test_repeated_bouts_count_once(tmp_path):
    table_of(tmp_path, [("Ann", "Bob", "chase", 10, 20)] * 2, COLUMNS)
    assert bouts(recordings(tmp_path)["a"]) == [(1, 2, "chase", 10, 20)]


def test_an_observation_that_is_not_there(tmp_path):
    own_made.flies(tmp_path, 2)
    init(tmp_path)
    cells(tmp_path, fps="30", annotation="bouts.csv#trial")
    refused(tmp_path, "unknown observation 'trial': did you mean trial")
    cells(tmp_path, annotation="bouts.csv")
    refused(tmp_path, r"has 2 observations: write bouts\.csv#NAME into the row of trial1")


def test_a_split_for_some_is_refused(tmp_path):
    own_made.mice(tmp_path, 3)
    init(tmp_path)
    found = table.read(tmp_path / "recordings.csv")
    found.rows[1]["split"] = ""
    table.write(tmp_path / "recordings.csv", found)
    refused(tmp_path, "split is empty for pair 2: write train or val")


@pytest.mark.parametrize(
    ("split", "says"),
    [("train", "3 annotated recordings have split train and none has val"), ("val", "none has train")],
)
def test_one_side_alone_is_refused(tmp_path, split, says):
    own_made.mice(tmp_path, 3)
    init(tmp_path)
    cells(tmp_path, split=split)
    assert refused(tmp_path, says).endswith(
        f"set split of another to {'val' if split == 'train' else 'train'}"
    )


def test_one_annotated_recording_is_too_few(tmp_path):
    own_made.mice(tmp_path, 1)
    init(tmp_path)
    refused(tmp_path, "1 annotated recording has split train and none has val.* annotate a second one")


def test_a_damaged_file_is_named_when_it_is_read(tmp_path):
    project_of(tmp_path, STILL, [("adult", "sniff", 1.0, 2.0)])
    path = tmp_path / "aDLC_net.csv"
    path.write_bytes(path.read_bytes()[:-200] + b"\0\1\2,x")
    says = refused(tmp_path, "aDLC_net.csv")
    assert says.startswith(str(path))


@needs(FORMATS / "ethome")
def test_a_real_pair_of_deeplabcut_and_boris(tmp_path):
    """From init to the store; a second recording is made of its first two minutes, since one alone cannot validate."""
    folder = tmp_path / "my-data"
    folder.mkdir()
    stem = "e3v813a-20210610T122332-122642"
    (pose,) = (FORMATS / "ethome").glob(f"{stem}DLC*.csv")
    shutil.copy(pose, folder)
    shutil.copy(FORMATS / "ethome" / f"{stem}_reencode.csv", folder)
    lines = pose.read_text().splitlines(keepends=True)
    (folder / pose.name.replace(stem, "half")).write_text("".join(lines[: 4 + 3600]))
    scored = (folder / f"{stem}_reencode.csv").read_text()
    (folder / "half.csv").write_text(scored.replace(stem, "half"))
    outcome = init(folder)
    assert {v.stem for v in outcome.videos} == {stem, "half"}
    metrics = ingest(params(folder), tmp_path / "store")
    assert metrics["recordings"] == 2
    store = Store(tmp_path / "store")
    whole = store.bouts[store.bouts["recording"] == f"own/{stem}"]
    assert len(whole) == 10
    assert set(zip(whole["agent"], whole["target"], whole["action"], strict=True)) == {(1, 2, "interact")}
    assert set(store.manifest["fps"]) == {30.0}


def test_sequences_of_calms21_are_recordings(tmp_path):
    def sequence(x):
        return {"keypoints": [[[[x] * 7, [x + 1.0] * 7]] * 2] * 60}

    group = {f"task1/train/mouse00{n}": sequence(100.0 * n) for n in (1, 2)}
    (tmp_path / "calms21_train.json").write_text(json.dumps({"annotator-id_0": group}))
    rows = [(f"mouse00{n}", "resident", "attack", 10, 20) for n in (1, 2)]
    columns = ["recording", "subject", "behaviour", "start_frame", "stop_frame"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "bouts.csv", index=False)
    init(tmp_path)
    cells(tmp_path, fps="30")
    found = table.read(tmp_path / "recordings.csv").rows
    assert [row["pose"] for row in found] == [f"calms21_train.json#task1/train/mouse00{n}" for n in (1, 2)]
    of = recordings(tmp_path)
    assert [*of] == ["task1_train_mouse001", "task1_train_mouse002"]
    assert of["task1_train_mouse002"].tracks[0, 0].tolist() == [200.0, 201.0]
    assert bouts(of["task1_train_mouse001"]) == [(1, 2, "attack", 10, 20)]


def test_one_file_of_simba_gives_the_pose_and_the_bouts(tmp_path):
    parts = ("Nose", "Ear_left", "Ear_right", "Tail_base")
    columns = ["", *(f"{part}_1_{c}" for part in parts for c in "xyp"), "Movement", "Rearing"]
    rows = [[i, *([5.5 + i, 6.5, 1] * 4), i + 0.5, int(3 <= i < 8)] for i in range(20)]
    path = tmp_path / "csv/targets_inserted/a.csv"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(",".join(map(str, row)) for row in [columns, *rows]) + "\n")
    init(tmp_path)
    cells(tmp_path, fps="30", split="")
    (recording,) = recordings(tmp_path).values()
    assert recording.tracks.shape == (4, 20, 2)
    assert bouts(recording) == [(1, 1, "rear", 3, 8)]
