"""`mabe init` on made folders: what it writes, and what it keeps when it is called again."""

import csv
import json
import pickle
import sys
import time

import numpy as np
import own_made
import pytest
import yaml

from mabe.data.project.init import init
from mabe.data.project.summary import command, lines
from mabe.errors import InputError

BORIS = [("adult", "sniff", 2.0, 4.0), ("juvenile", "Rearing", 5.0, 6.0)]
STILL = {who: np.full((600, 2), 100.0) for who in own_made.MICE}


def table(folder):
    with (folder / "recordings.csv").open(encoding="utf-8-sig", newline="") as file:
        return {row["recording"]: row for row in csv.DictReader(file)}


def project(folder):
    return yaml.safe_load((folder / "project.yaml").read_text())


def told(folder):
    return "\n".join(lines(init(folder)))


@pytest.fixture
def mice(tmp_path):
    return own_made.mice(tmp_path / "my-data", 5)


def test_two_mice_of_deeplabcut_and_boris(mice):
    says = told(mice)
    assert "5 recordings, 5 with annotations (4 to train, 1 to validate)" in says
    assert "2 animals in each: adult, juvenile" in says
    assert "-S data=own" in says
    assert says.endswith("-S version=v8")
    rows = table(mice)
    assert [*rows] == [f"pair {n}" for n in range(1, 6)]
    assert rows["pair 3"]["pose"] == "pair 3DLC_net_el_filtered.csv"
    assert rows["pair 3"]["annotation"] == "pair 3.csv"
    assert (rows["pair 3"]["fps"], rows["pair 3"]["fps_from"]) == ("30", "annotation file")
    of = project(mice)
    assert of["skeleton"]["like"] == "mouse18"
    assert of["skeleton"]["aliases"]["lefthip"] == "hip_left"
    assert of["animals"] == {"adult": 1, "juvenile": 2}
    assert of["behaviours"] == {"Rearing": "rear", "sniff": "sniff"}
    assert (of["ethogram"]["of_oneself"], of["ethogram"]["of_another"]) == (["rear"], ["sniff"])
    assert next(iter(of["ethogram"]["classes"]["own"].items())) == ("other", [])


def test_three_flies_whose_behaviours_overlap_in_one_table(tmp_path):
    folder = own_made.flies(tmp_path / "flies")
    says = told(folder)
    assert "no frame rate is known of trial1, trial2, trial3: fill in fps" in says
    assert "label_mode=multi" in says
    assert table(folder)["trial2"]["annotation"] == "bouts.csv#trial2"
    of = project(folder)
    assert of["skeleton"]["parts"] == [*own_made.FLY_PARTS]
    assert of["skeleton"]["sides"] == {"left_wing": "right_wing"}
    assert of["animals"] == {"Ann": 1, "Bob": 2, "Cleo": 3}
    assert of["ethogram"]["of_another"] == ["chase"]
    assert set(of["ethogram"]["overlapping"]) == {"chase", "sing"}


def test_prefixes_of_parts_become_animals(tmp_path):
    parts = [f"{who}_{part}" for who in "BW" for part in ("Nose", "Left_ear", "Right_ear", "Tail_base")]
    own_made.single(tmp_path / "aDLC_net.csv", STILL["adult"], parts)
    assert "are taken for those of another animal: B_ (B), W_ (W) (prefixes" in told(tmp_path)
    of = project(tmp_path)
    assert of["prefixes"] == {"B_": "B", "W_": "W"}
    assert of["animals"] == {"B": 1, "W": 2}
    assert of["skeleton"]["aliases"] == {
        "Nose": "nose",
        "Left_ear": "ear_left",
        "Right_ear": "ear_right",
        "Tail_base": "tail_base",
    }


def test_called_again_it_changes_nothing(mice):
    init(mice)
    before = [(mice / name).read_bytes() for name in ("recordings.csv", "project.yaml")]
    assert "Nothing is new." in told(mice)
    assert [(mice / name).read_bytes() for name in ("recordings.csv", "project.yaml")] == before


def test_new_files_are_added_and_edits_stay(mice):
    init(mice)
    path = mice / "project.yaml"
    text = path.read_text().replace("annotated: all", "annotated: bouts   # my own choice")
    text = text.replace("  sniff: sniff", "  sniff: social").replace(
        "of_another: [sniff]", "of_another: [social]"
    )
    text = text.replace("      sniff: [sniff]", "      social: [social]  # mine")
    path.write_text(text)
    rows = (mice / "recordings.csv").read_text().splitlines()
    rows = [rows[0] + ",cage", *(row.replace(",30,", ",25,") + ",7" for row in rows[1:])]
    (mice / "recordings.csv").write_text("\n".join(rows) + "\n")
    splits = {name: row["split"] for name, row in table(mice).items()}

    tracks = STILL | {"Third": np.full((600, 2), 300.0)}
    own_made.dlc(mice / "new/lateDLC_net.csv", tracks, own_made.PARTS | {"cable": 0.0})
    own_made.boris(
        mice / "new/late.csv", [*BORIS, ("the big one", "dig", 7.0, 8.0), ("Third", "SNIFF", 1.0, 2.0)]
    )
    says = told(mice)
    for new in (
        "recordings: late",
        "parts: cable",
        "animals: third",
        "subjects: the big one",
        "behaviours: dig",
    ):
        assert new in says.lower()

    assert path.read_text().startswith(text[: text.index("  aliases:")])
    for line in text.splitlines():
        assert line.removesuffix("{}").split("[")[0] in path.read_text()
    of = project(mice)
    assert of["annotated"] == "bouts"
    assert of["skeleton"]["aliases"]["cable"] is None
    assert of["animals"] == {"adult": 1, "juvenile": 2, "Third": 3}
    assert of["subjects"] == {"the big one": None}
    assert of["behaviours"] == {"Rearing": "rear", "sniff": "social", "dig": "dig"}
    assert of["ethogram"]["of_another"] == ["social"]
    assert "dig" in of["ethogram"]["of_oneself"]
    assert [*of["ethogram"]["classes"]["own"]] == ["other", "rear", "social", "dig"]
    found = table(mice)
    assert {name: found[name]["split"] for name in splits} == splits
    assert {row["fps"] for name, row in found.items() if name != "late"} == {"25"}
    assert (found["pair 1"]["cage"], found["late"]["cage"]) == ("7", "")
    assert found["late"]["split"] == "train"


def test_an_annotation_that_comes_later_is_filled_in(mice):
    later = (mice / "pair 2.csv").read_bytes()
    (mice / "pair 2.csv").unlink()
    assert "recordings without annotations, not used: pair 2" in told(mice)
    assert (table(mice)["pair 2"]["annotation"], table(mice)["pair 2"]["split"]) == ("", "")
    (mice / "pair 2.csv").write_bytes(later)
    assert "annotations of: pair 2" in told(mice)
    row = table(mice)["pair 2"]
    assert (row["annotation"], row["fps"], row["split"]) == ("pair 2.csv", "30", "train")


def test_what_does_not_belong_anywhere_is_named(mice):
    own_made.boris(mice / "lonely.csv", BORIS)
    (mice / "pair 4_annot.csv").write_bytes((mice / "pair 4.csv").read_bytes())
    (mice / "notes.txt").write_text("hello")
    (mice / ".hidden.csv").write_text("no")
    (mice / "._pair 1DLC_net_el_filtered.csv").write_bytes(b"\0\5\26\7")
    says = told(mice)
    assert "annotations without a pose file: lonely.csv" in says
    assert (
        "pair 4DLC_net_el_filtered.csv has several annotations, pair 4.csv, pair 4_annot.csv: none is taken"
        in says
    )
    assert "files that are neither poses nor annotations: notes.txt" in says
    assert ".hidden" not in says
    assert "._pair" not in says
    assert table(mice)["pair 4"]["annotation"] == ""


class Danger:
    def __reduce__(self):
        return (open, ("/tmp/never-written-by-a-test", "w"))


def test_files_that_cannot_be_read_are_named_and_the_others_are_used(mice):
    (mice / "brokenDLC_net.csv").write_text("scorer,net\nbodyparts\ncoords,x\n")
    frames = "scorer,net,net\nbodyparts,nose,nose\ncoords,x,y\nlabeled-data/a/img001.png,1,2\n"
    (mice / "CollectedData.csv").write_text(frames)
    (mice / "labels.pkl").write_bytes(pickle.dumps(Danger()))
    (mice / "empty.csv").write_text("")
    crowd = {f"m{i}": np.full((9, 2), 5.0) for i in range(33)}
    own_made.dlc(mice / "crowdDLC_net.csv", crowd, {"nose": 0.0})
    says = told(mice)
    for name in ("brokenDLC_net.csv", "CollectedData.csv", "crowdDLC_net.csv", "labels.pkl", "empty.csv"):
        assert f"not read: {mice / name} " in says
    assert "has 33 animals: at most 32 are supported" in says
    assert len(table(mice)) == 5


def test_upper_case_endings_windows_paths_bom_crlf_and_other_letters(tmp_path):
    folder = tmp_path / "Käfig 3"
    own_made.dlc(folder / "Mäuse 1DLC_net.CSV", STILL)
    path = own_made.boris(folder / "x.CSV", BORIS, media="D:\\Videos\\Mäuse 1.MP4", fps="29,97", end="\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b",29,97,", b',"29,97",'))
    init(folder)
    row = table(folder)["Mäuse 1"]
    assert (row["annotation"], row["fps"]) == ("x.CSV", "29.97")


def test_two_folders_may_have_files_of_one_name(tmp_path):
    for cage in ("cage1", "cage2"):
        own_made.dlc(tmp_path / cage / "trialDLC_net.csv", STILL)
        own_made.boris(tmp_path / cage / "trial.csv", BORIS)
    init(tmp_path)
    assert {name: row["annotation"] for name, row in table(tmp_path).items()} == {
        "trial": "cage1/trial.csv",
        "cage2_trial": "cage2/trial.csv",
    }


def test_a_video_beside_the_pose_tells_the_frame_rate(tmp_path):
    pytest.importorskip("av")
    from filmed import film, moving

    own_made.dlc(tmp_path / "aDLC_net.csv", STILL)
    film(tmp_path / "a.mp4", moving(8))
    init(tmp_path)
    row = table(tmp_path)["a"]
    assert row["fps_from"] == "video"
    assert float(row["fps"]) > 0


def test_a_video_that_cannot_be_opened_tells_nothing(tmp_path, monkeypatch):
    own_made.dlc(tmp_path / "aDLC_net.csv", STILL)
    (tmp_path / "a.mp4").write_bytes(b"no video at all")
    pytest.importorskip("av")
    assert "no frame rate is known of a: fill in fps" in told(tmp_path)
    monkeypatch.setitem(sys.modules, "av", None)  # not installed
    says = told(tmp_path)
    assert "install the extra `video`" in says
    assert table(tmp_path)["a"]["fps"] == ""


def test_a_recording_that_is_out_is_neither_read_nor_added_again(mice):
    init(mice)
    path = mice / "recordings.csv"
    path.write_text(path.read_text().replace(",,train\n", ",,out\n", 1))
    own_made.dlc(mice / "pair 1DLC_net_el_filtered.csv", {"stranger": STILL["adult"]})
    assert "Nothing is new." in told(mice)
    assert [row["split"] for row in table(mice).values()].count("out") == 1


def test_a_pose_file_that_is_gone_is_named(mice):
    init(mice)
    (mice / "pair 2DLC_net_el_filtered.csv").unlink()
    assert "recordings whose pose file is gone or cannot be read: pair 2" in told(mice)
    assert "pair 2" in table(mice)


def test_one_animal_does_everything_to_itself(tmp_path):
    own_made.single(tmp_path / "aDLC_net.csv", STILL["adult"])
    own_made.boris(tmp_path / "a.csv", [("whoever", "sniff", 1.0, 2.0), ("", "wander", 3.0, 4.0)])
    init(tmp_path)
    of = project(tmp_path)
    assert of["ethogram"]["of_oneself"] == ["sniff", "wander"]
    assert of["subjects"] == {"whoever": "animal1"}


def test_it_asks_whether_the_others_were_watched(tmp_path):
    own_made.dlc(tmp_path / "aDLC_net.csv", STILL)
    own_made.boris(tmp_path / "a.csv", [("adult", "sniff", 1.0, 2.0)])
    says = "only adult does anything in your annotations: if nobody watched the others, write [adult]"
    assert says in told(tmp_path)
    assert f"watched: all  # {says}" in (tmp_path / "project.yaml").read_text()


def test_nobody_in_particular_makes_an_action_of_a_pair(tmp_path):
    own_made.dlc(tmp_path / "aDLC_net.csv", STILL)
    own_made.boris(tmp_path / "a.csv", [("", "sniff", 1.0, 2.0), ("", "sniff", 5.0, 5.0)])
    says = told(tmp_path)
    assert project(tmp_path)["ethogram"]["of_pair"] == ["sniff"]
    assert "events without a duration are left out: sniff" in says
    assert "One recording is annotated" in says
    assert "dvc exp run" not in says


@pytest.mark.parametrize(
    ("labelled", "overlap", "animals", "says"),
    [
        (9, False, 2, "-S version=v8"),
        (10, False, 2, "-S version=v7"),
        (9, True, 2, "-S version=v8 -S label_mode=multi"),
        (9, False, 6, "-S version=v8 -S num_mice=6"),
    ],
)
def test_the_next_line(tmp_path, monkeypatch, labelled, overlap, animals, says):
    monkeypatch.chdir(tmp_path)
    found = command(tmp_path / "my-data", labelled, overlap=overlap, animals=animals)
    assert found == f"dvc exp run -S data=own -S data_dir=my-data {says}"
    assert "'data_dir=\"Mäuse 1\"'" in command(
        tmp_path / "Mäuse 1", labelled, overlap=overlap, animals=animals
    )


def test_annotations_may_come_later(tmp_path):
    own_made.dlc(tmp_path / "aDLC_net.csv", STILL)
    assert "Nothing is annotated yet" in told(tmp_path)
    own_made.boris(tmp_path / "a.csv", BORIS)
    assert "annotations of: a" in told(tmp_path)
    classes = project(tmp_path)["ethogram"]["classes"]
    assert classes == {"own": {"other": [], "sniff": ["sniff"], "rear": ["rear"]}}


def test_errors_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match=r"there is no folder .*nowhere"):
        init(tmp_path / "nowhere")
    with pytest.raises(InputError, match="there is no pose file in"):
        init(tmp_path)
    own_made.dlc(tmp_path / "aDLC_net.csv", STILL)
    (tmp_path / "project.yaml").write_text("skeleto: {}\n")
    with pytest.raises(InputError, match="unknown key 'skeleto': did you mean skeleton"):
        init(tmp_path)
    assert not (tmp_path / "recordings.csv").exists()


def test_two_hundred_files_take_seconds(tmp_path):
    for number in range(100):
        own_made.single(tmp_path / f"r{number}DLC_net.csv", STILL["adult"][:50])
        own_made.boris(tmp_path / f"r{number}.csv", BORIS)
    began = time.perf_counter()
    init(tmp_path)
    assert time.perf_counter() - began < 20
    assert len(table(tmp_path)) == 100


def simba(path, behaviours="", still=False):
    """A step of a SimBA project: points of one animal, and a feature and behaviours (0, 1) where there are any."""
    parts = ("Nose", "Ear_left", "Ear_right", "Tail_base")
    names = ["", *(f"{part}_1_{c}" for part in parts for c in "xyp")]
    names += ["Movement", *behaviours.split()] if behaviours or still else []
    rows = [
        [i, *([5.5, 6.5, 1] * 4), *([i + 0.5] if len(names) > 13 else []), *[i % 2] * (len(names) - 14)]
        for i in range(20)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(",".join(map(str, row)) for row in [names, *rows]) + "\n")


def test_a_file_of_poses_and_annotations_is_both(tmp_path):
    simba(tmp_path / "a.csv", "Attack Sniffing")
    simba(tmp_path / "b.csv", still=True)  # with features alone
    says = told(tmp_path)
    assert {name: row["annotation"] for name, row in table(tmp_path).items()} == {"a": "a.csv", "b": ""}
    assert [*project(tmp_path)["behaviours"]] == ["Attack", "Sniffing"]
    assert "not read" not in says


def test_in_a_simba_project_a_video_is_one_recording(tmp_path):
    steps = ("input_csv", "outlier_corrected_movement_location", "outlier_corrected_movement")
    for step in steps:
        simba(tmp_path / f"csv/{step}/a.csv")
        simba(tmp_path / f"csv/{step}/b.csv")
    simba(tmp_path / "csv/features_extracted/a.csv", still=True)
    simba(tmp_path / "csv/machine_results/a.csv", "Probability_Attack Attack")
    simba(tmp_path / "csv/targets_inserted/a.csv", "Attack")
    init(tmp_path)
    rows = table(tmp_path)
    assert sorted(rows) == ["a", "b"]
    assert rows["a"]["pose"] == rows["a"]["annotation"] == "csv/targets_inserted/a.csv"
    assert (rows["b"]["pose"], rows["b"]["annotation"]) == (f"csv/{steps[1]}/b.csv", "")
    assert [*project(tmp_path)["behaviours"]] == ["Attack"]


def test_an_annotation_that_a_row_names_is_read_whatever_it_looks_like(tmp_path):
    simba(tmp_path / "a.csv")
    simba(tmp_path / "machine_results/x.csv", "Attack")
    init(tmp_path)
    path = tmp_path / "recordings.csv"
    text = path.read_text().replace("a.csv,,", "a.csv,machine_results/x.csv,")
    path.write_text(text)
    assert table(tmp_path)["a"]["annotation"] == "machine_results/x.csv"
    assert "behaviours: Attack" in told(tmp_path)
    path.write_text(text.replace("machine_results/x.csv,", "gone.csv,"))
    assert f"there is no {tmp_path / 'gone.csv'}: correct the row" in told(tmp_path)


def test_identity_1_of_jabs_is_the_second_animal_also_where_0_has_no_label(tmp_path):
    frames = {"animal1": STILL["adult"], "animal2": STILL["adult"] + 50}
    own_made.dlc(tmp_path / "aDLC_net.csv", frames)
    labels = {"1": {"Grooming": [{"start": 5, "end": 9, "present": True}]}}
    content = {"file": "a.avi", "num_frames": 600, "unfragmented_labels": labels}
    (tmp_path / "a.json").write_text(json.dumps(content))
    says = told(tmp_path)
    assert project(tmp_path)["subjects"] == {"1": "animal2"}
    assert "subjects whose animal is a guess: 1 (animal2) (subjects in project.yaml)" in says


def test_the_only_animal_is_not_taken_for_anybody_without_a_question(tmp_path):
    own_made.single(tmp_path / "aDLC_net.csv", STILL["adult"])
    own_made.boris(tmp_path / "a.csv", [("experimenter", "feed", 1.0, 2.0), ("Animal 1", "eat", 3.0, 4.0)])
    says = told(tmp_path)
    assert "subjects whose animal is a guess: experimenter (animal1) (subjects" in says


def test_a_pair_by_the_beginning_of_a_name_is_asked_for(tmp_path):
    for name in ("trial1", "other"):
        own_made.dlc(tmp_path / f"{name}DLC_net.csv", STILL)
    own_made.boris(tmp_path / "trial1_3.csv", BORIS)
    own_made.boris(tmp_path / "other.csv", BORIS)
    says = told(tmp_path)
    assert table(tmp_path)["trial1"]["annotation"] == "trial1_3.csv"
    pair = "annotations paired by the beginning of a name only: trial1_3.csv of trial1DLC_net.csv"
    assert f"{pair} (annotation in recordings.csv)" in says
    assert pair not in told(tmp_path)  # it stands in the table now


def test_what_an_own_skeleton_lacks_is_asked_for_until_it_is_there(tmp_path):
    parts = {"head": 30.0, "left_wing": 10.0, "right_wing": 10.0, "ovipositor": -20.0}
    own_made.dlc(tmp_path / "aDLC_net.csv", STILL, parts)
    asks = "the skeleton has no part in centre: name one of each (skeleton in project.yaml)"
    assert asks in told(tmp_path)
    own_made.dlc(tmp_path / "bDLC_net.csv", STILL, parts | {"left_haltere": 0.0, "right_haltere": 0.0})
    says = told(tmp_path)
    assert asks in says
    new = "new parts are on no side, and in none of front, centre and back: left_haltere, right_haltere"
    assert new in says
    path = tmp_path / "project.yaml"
    text = path.read_text()
    assert "  centre: []" in text
    path.write_text(text.replace("  centre: []", "  centre: [head]"))
    says = told(tmp_path)
    assert asks not in says
    assert new not in says
