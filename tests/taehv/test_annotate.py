"""The annotation: every video is decoded once, what cannot be used is listed with the reason, and the split is real."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from filmed import FOLDER, REAL, clip, film, moving, settings, spoil

from runs import InputError
from taehv import annotate as annotation_of
from taehv import params
from taehv.annotate import annotate, fingerprint
from taehv.annotations import Annotation, read, report, summary, write
from taehv.clips import KINDS, render
from taehv.params import AnnotateParams, ClipsParams

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Ten good videos of 30 frames, and one of each fault."""
    root = tmp_path_factory.mktemp("videos")
    for number in range(10):
        film(root / f"{'deep/' * (number % 2)}good_{number}.mp4", moving(30, seed=number))
    film(root / "short.mp4", moving(11))
    damaged = render(settings(ClipsParams, clips_frames=40), KINDS.index("occlusion"))
    spoil(film(root / "damaged.mp4", damaged, options={"g": "20", "sc_threshold": "0"}), at=0.75)
    truncated = film(root / "truncated.mp4", moving(60), movflags="faststart")
    truncated.write_bytes(truncated.read_bytes()[:-1500])
    (root / "text.mp4").write_text("not a video")
    (root / "empty.MOV").touch()
    (root / "notes.txt").write_text("not even by name")
    film(root / ".hidden.mp4", moving(30))
    film(root / ".trash" / "good.mp4", moving(30))
    return root


def test_every_file_is_used_or_listed_with_the_reason(videos):
    found = annotate(settings(AnnotateParams, data_dir=str(videos)))
    assert len(found.train) == 8
    assert len(found.val) == 2
    reasons = {Path(path).name: reason for path, reason in found.rejected.items()}
    assert sorted(reasons) == ["damaged.mp4", "empty.MOV", "short.mp4", "text.mp4", "truncated.mp4"]
    assert reasons["short.mp4"] == "too short: 11 frames, n_frames is 12"
    assert "is damaged" in reasons["damaged.mp4"] or "cannot be decoded" in reasons["damaged.mp4"]
    assert "truncated" in reasons["truncated.mp4"] or "cannot be decoded" in reasons["truncated.mp4"]
    assert reasons["text.mp4"].startswith("cannot be decoded: Invalid data")
    assert reasons["empty.MOV"].startswith("cannot be decoded: Invalid data")
    for one in found.train + found.val:
        assert (one.frames, one.fps, one.height, one.width) == (30, 25, 48, 64)
        assert one.duration_s == pytest.approx(1.2)
        assert (one.first, one.stop) == (0, 30)


def test_the_report_names_what_is_left_out():
    rejected = {f"v/{number}.mp4": "cannot be decoded: Invalid data" for number in range(12)}
    lines = []
    report(Annotation(train=(clip("a.mp4"),), val=(clip("b.mp4", 20),), rejected=rejected), lines.append)
    assert lines[0] == "1 clips to train on (30 frames), 1 held out (20 frames), 12 not used"
    assert lines[1] == "  not used: v/0.mp4: cannot be decoded: Invalid data"
    assert lines[-1] == "  and 2 more, listed in the annotation"
    assert len(lines) == 12


def test_no_clip_is_trained_on_and_held_out(videos):
    drawn = set()
    for seed in range(6):
        found = annotate(settings(AnnotateParams, data_dir=str(videos), seed=seed))
        train, val = ({one.path for one in part} for part in (found.train, found.val))
        assert not train & val
        assert len(val) == 2
        assert found == annotate(settings(AnnotateParams, data_dir=str(videos), seed=seed))
        drawn.add(frozenset(val))
    assert len(drawn) > 1  # the seed decides


def test_the_same_file_under_two_names_is_one(tmp_path):
    """Else it could be trained on under one name and held out under the other."""
    film(tmp_path / "a.mp4", moving(30))
    film(tmp_path / "b.mp4", moving(30, seed=1))
    (tmp_path / "also_a.mp4").symlink_to(tmp_path / "a.mp4")
    found = annotate(settings(AnnotateParams, data_dir=str(tmp_path)))
    assert len(found.train) == len(found.val) == 1
    assert (tmp_path / "list.json").write_text(json.dumps({"list": [{"path": "a.mp4"}, {"path": "./a.mp4"}]}))
    with pytest.raises(InputError, match="the only video that can be used: set val_split to tail"):
        annotate(settings(AnnotateParams, data_dir=str(tmp_path / "list.json")))


def test_a_tail_split_holds_out_the_end_of_each_clip(tmp_path):
    film(tmp_path / "long.mp4", moving(100))
    film(tmp_path / "short.mp4", moving(50))
    found = annotate(settings(AnnotateParams, data_dir=str(tmp_path), val_split="tail", val_fraction=0.3))
    ranges = {(c.path.name, c.first, c.stop) for c in found.train + found.val}
    assert ranges == {("long.mp4", 0, 70), ("long.mp4", 70, 100), ("short.mp4", 0, 35), ("short.mp4", 35, 50)}
    found = annotate(settings(AnnotateParams, data_dir=str(tmp_path), val_split="tail", val_fraction=0.2))
    reason = found.rejected[str(tmp_path / "short.mp4")]
    assert reason == "too short: 40 + 10 frames after the split, n_frames is 12"


def test_data_without_a_usable_video_ends_with_a_sentence(tmp_path):
    with pytest.raises(InputError, match="there is no directory"):
        annotate(settings(AnnotateParams, data_dir=str(tmp_path / "missing")))
    with pytest.raises(InputError, match="holds no videos"):
        annotate(settings(AnnotateParams, data_dir=str(tmp_path)))
    film(tmp_path / "short.mp4", moving(3))
    with pytest.raises(InputError, match=r"none of the 1 videos .*short\.mp4: too short: 3 frames"):
        annotate(settings(AnnotateParams, data_dir=str(tmp_path)))


def test_the_list_of_the_write_up_is_a_source(tmp_path):
    for number in range(3):
        film(tmp_path / f"videos/{number}.mp4", moving(30, seed=number))
    outside = film(tmp_path / "elsewhere.mp4", moving(30, seed=9))
    entries = [
        {"path": "0.mp4", "duration": 1.2, "frames": 30},
        {"full_path": "1.mp4"},
        {"path": "moved_away.mp4", "full_path": str(outside)},
        {"path": "gone.mp4", "duration": 3.0, "frames": 75},
    ]
    source = tmp_path / "videos" / "list.json"
    source.write_text(json.dumps({"total": 4, "list": entries}))
    found = annotate(settings(AnnotateParams, data_dir=str(source)))
    used = sorted(one.path.name for one in found.train + found.val)
    assert used == ["0.mp4", "1.mp4", "elsewhere.mp4"]  # 2.mp4 is not on the list
    assert list(found.rejected) == [str(tmp_path / "videos" / "gone.mp4")]


def test_a_split_that_the_list_gives_is_kept(tmp_path):
    for number in range(3):
        film(tmp_path / f"{number}.mp4", moving(30, seed=number))
    source = tmp_path / "list.json"

    def annotated(*entries):
        source.write_text(json.dumps({"list": entries}))
        return annotate(settings(AnnotateParams, data_dir=str(source), val_split="tail"))

    found = annotated(
        {"path": "0.mp4", "split": "val"},
        {"path": "1.mp4", "split": "train", "first": 2, "stop": 15},
        {"path": "1.mp4", "split": "val", "first": 15},
        {"path": "2.mp4", "split": "val", "first": 20},
    )
    assert [(c.path.name, c.first, c.stop) for c in found.train] == [("1.mp4", 2, 15)]
    assert [(c.path.name, c.first, c.stop) for c in found.val] == [("0.mp4", 0, 30), ("1.mp4", 15, 30)]
    reason = found.rejected[str(tmp_path / "2.mp4")]
    assert reason == "too short: 30 frames, frames 20 to 30 are listed, n_frames is 12"
    train = {"path": "0.mp4", "split": "train"}
    with pytest.raises(InputError, match=r"entry 1 has split None: give each entry train or val, or leave"):
        annotated(train, {"path": "1.mp4"})
    with pytest.raises(InputError, match=r"entry 1 has frames 20 to 20, which are none"):
        annotated(train, {"path": "1.mp4", "split": "val", "first": 20, "stop": 20})
    with pytest.raises(InputError, match=r"entry 1 has frames 0\.0 to None: write whole numbers"):
        annotated(train, {"path": "1.mp4", "split": "val", "first": 0.0})
    with pytest.raises(InputError, match=r"entry 0 has split None"):  # not trained on against the list's word
        annotated({"path": "0.mp4", "first": 0, "stop": 15}, {"path": "1.mp4"})
    twice = annotated(train, train, {"path": "1.mp4", "split": "val", "first": None})
    assert (len(twice.train), len(twice.val)) == (1, 1)
    with pytest.raises(InputError, match=r"entry 1 holds out frames that another one trains on"):
        annotated(train, {"path": "./0.mp4", "split": "val", "first": 18})
    with pytest.raises(
        InputError, match=r"no video with split val in .*json can be used, for example not .*gone"
    ):
        annotated(train, {"path": "gone.mp4", "split": "val"})


def test_an_annotation_is_a_source_and_gives_itself(videos, tmp_path):
    for split in ("clips", "tail"):
        found = annotate(settings(AnnotateParams, data_dir=str(videos), val_split=split, val_fraction=0.5))
        write(found, tmp_path / "first.json")
        again = annotate(settings(AnnotateParams, data_dir=str(tmp_path / "first.json"), seed=5))
        assert (again.train, again.val) == (found.train, found.val)


def test_a_fingerprint_is_of_all_that_decides(tmp_path):
    clips = [film(tmp_path / f"{number}.mp4", moving(30, seed=number)) for number in range(2)]
    seen = []

    def new(**changes):
        seen.append(fingerprint(settings(AnnotateParams, **({"data_dir": str(tmp_path)} | changes))))
        return seen.count(seen[-1]) == 1

    assert new()
    assert not new()
    for changes in ({"seed": 5}, {"n_frames": 9}, {"val_split": "tail"}, {"val_fraction": 0.4}):
        assert new(**changes)
    clips[0].touch()
    assert new()
    clips[0].chmod(0o600)  # it could not be read, perhaps
    assert new()
    (tmp_path / "more.mp4").write_bytes(clips[1].read_bytes())
    assert new()
    (tmp_path / "more.mp4").write_bytes(clips[1].read_bytes()[:-1])
    assert new()
    clips[0].unlink()
    assert new()
    source = tmp_path / "list.json"
    for entries in ([{"path": "1.mp4"}], [{"path": "1.mp4", "split": "val"}], [{"path": "gone.mp4"}]):
        source.write_text(json.dumps({"list": entries}))
        assert new(data_dir=str(source))
        assert not new(data_dir=str(source))


def test_what_is_written_is_what_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = Annotation(
        train=(clip("data/clips/a.mp4", stop=20), clip("/far/away/b.mp4")),
        val=(clip("data/clips/a.mp4", first=20),),
        rejected={"data/clips/c.mp4": "too short: 3 frames, n_frames is 12"},
    )
    write(found, "data/annotation.json")
    assert read("data/annotation.json") == found
    document = json.loads(Path("data/annotation.json").read_text())
    assert document["total"] == 3
    assert document["list"][0]["path"] == "clips/a.mp4"
    assert document["list"][0]["duration"] == 1.2
    assert document["rejected"] == [{"path": "clips/c.mp4", "reason": "too short: 3 frames, n_frames is 12"}]
    os.rename("data", "moved")  # with the clips: the paths are relative
    assert read("moved/annotation.json").train[0].path == Path("moved/clips/a.mp4")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "there is no"),
        ("{", "is not valid JSON"),
        ("[]", 'must be {"total"'),
        ('{"list": [{"frames": 3}]}', "entry 0 has neither path nor full_path"),
        (
            '{"list": [{"path": "a.mp4", "frames": 3}]}',
            "entry 0 has no valid 'split'.*run the annotate stage",
        ),
        (
            '{"list": [{"path": "a.mp4", "split": "val", "frames": 1e999}]}',
            "entry 0 has no valid .*run the annotate stage",
        ),
        ("[" * 100_000, "is not valid JSON"),
        (
            '{"list": [{"path": "a.mp4"}, {"path": "http://127.0.0.1/a.mp4"}]}',
            "entry 1 has the path 'http://127.0.0.1/a.mp4', an address: only files of this machine are read",
        ),
        ('{"list": [{"path": "a\\u0000b"}]}', r"entry 0 has the path 'a\\x00b', which no file can have"),
        ('{"list": [{"path": "a\\ud800b"}]}', "which no file can have"),
        ('{"list": [{"full_path": "' + "x" * 5000 + '"}]}', "entry 0 has the full_path 'x{80}...', which no"),
        ('{"list": [], "rejected": [3]}', "rejected must be"),
        ('{"list": [], "rejected": [{"path": "http://a", "reason": "b"}]}', "rejected must be"),
    ],
)
def test_a_wrong_annotation_is_one_sentence(tmp_path, text, says):
    path = tmp_path / "annotation.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=says):
        read(path)


def test_pipes_and_links_to_themselves_are_listed_with_the_reason(tmp_path):
    for number in range(2):
        film(tmp_path / f"good_{number}.mp4", moving(30, seed=number))
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    found = annotate(settings(AnnotateParams, data_dir=str(tmp_path)))
    reasons = {Path(path).name: reason for path, reason in found.rejected.items()}
    assert reasons == {
        "pipe.mp4": "is a pipe or a device, not a file",
        "folder.mp4": "is a directory, not a file",
        "loop.mp4": "cannot be decoded: Too many levels of symbolic links",
    }
    os.mkfifo(tmp_path / "list.json")
    with pytest.raises(InputError, match=r"list\.json is a pipe or a device, not a file"):
        annotate(settings(AnnotateParams, data_dir=str(tmp_path / "list.json")))


def test_files_are_decoded_in_parallel(tmp_path, monkeypatch):
    """Two that wait for each other: one after the other, they would wait forever."""
    import threading

    barrier = threading.Barrier(2, timeout=20)
    for name in ("a", "b"):
        film(tmp_path / f"{name}.mp4", moving(12))
    examine = annotation_of._examine

    def together(path):
        barrier.wait()
        return examine(path)

    monkeypatch.setattr(annotation_of, "_examine", together)
    monkeypatch.setattr(annotation_of, "available_cores", lambda: 2)
    assert len(annotate(settings(AnnotateParams, data_dir=str(tmp_path))).train) == 1


@pytest.mark.integration
def test_the_stages(tmp_path):
    """clips, then annotate, as DVC runs them; and one sentence if data_dir is wrong."""
    changes = {"clips_count": 5, "clips_frames": 13, "height": 64, "width": 96}
    values = params.preset("test", FOLDER) | changes

    def stage(name):
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
        environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
        command = [sys.executable, "-m", f"stages.video.{name}"]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    assert stage("clips").returncode == 0
    figures = json.loads((tmp_path / "metrics/clips.json").read_text())
    assert figures["frames"] == 65
    assert {f"bicubic_psnr_{kind}" for kind in KINDS} < set(figures)
    assert len(list((tmp_path / "data/clips").iterdir())) == 5

    done = stage("annotate")
    assert done.returncode == 0
    assert done.stdout == "4 clips to train on (52 frames), 1 held out (13 frames), 0 not used\n"
    found = read(tmp_path / "data/annotation.json")
    assert np.all([one.path.exists() for one in found.train])
    assert json.loads((tmp_path / "metrics/annotate.json").read_text()) == summary(found)

    values["data_dir"] = "nowhere"
    done = stage("annotate")
    assert done.returncode == 1
    assert done.stderr.startswith("error: there is no directory nowhere")
    assert done.stderr.count("\n") == 1


@pytest.mark.integration
@pytest.mark.skipif(not REAL.exists(), reason="the real clips are not at ../shared/datas")
def test_the_tails_of_real_clips():
    found = annotate(settings(AnnotateParams, data_dir=str(REAL), val_split="tail"))
    assert not found.rejected
    assert len(found.train) == len(found.val) == 5
    for train, val in zip(found.train, found.val, strict=True):
        assert (train.path, train.first, train.stop) == (val.path, 0, val.first)
        assert len(val) == round(0.2 * val.frames)
