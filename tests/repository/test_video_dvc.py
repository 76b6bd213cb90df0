"""The two DVC projects of this repository side by side: whatever one of them is told, it says nothing of the other."""

import json
import re
import shutil

import pytest
import taehv_small as small
import yaml
from repository import Clone, ran, scratch, settings
from workspace import files

pytestmark = pytest.mark.integration

STAGES = ["check", "clips", "annotate", "train", "evaluate", "export"]
TINY = small.SMALL | {"validate_every": 2, "eval_frames": 9, "lpips": False, "onnx": False}
HEADLINE = {
    "metrics/train.json": {"best_step", "steps", "seconds", "steps_per_second"},
    "metrics/evaluate.json": {"psnr", "ssim", "temporal_psnr", "bicubic_psnr", "encode_fps", "decode_fps"},
}
# Words of one pipeline alone: stages, parameters, metrics, files.
OF_VIDEO = re.compile(r"taehv|clips|annotate\b|psnr|max_steps|eval_frames|video/|data_dir")
OF_POSES = re.compile(r"simulate|ingest|label|motion|f1_macro|max_epochs|num_mice|mabe|class_scheme")
FAULTS = re.compile(r"WARNING|ERROR|Traceback|fatal:")
COMMANDS = [
    ("status",),
    ("repro",),
    ("dag",),
    ("stage", "list"),
    ("exp", "list", "--all-commits"),
    ("exp", "show"),
    ("metrics", "show"),
    ("metrics", "diff", "start"),
    ("params", "diff", "start"),
    ("plots", "show"),
    ("plots", "diff", "start"),
    ("checkout",),
]
"""Of DVC, in a project whose pipeline has run; `start` is the commit before."""


@pytest.fixture(scope="module")
def both(finished, tmp_path_factory):
    """A repository in which both pipelines have run, and what `dvc exp run --name small` of the video one printed.

    HEAD has all of it, `start` is the commit before the video run. Experiments hang on HEAD.
    """
    folder = tmp_path_factory.mktemp("both") / "clone"
    shutil.copytree(finished[0].folder, folder, symlinks=True, ignore=scratch)
    clone = Clone(folder)
    clone("git", "reset", "--quiet", "--hard")
    clone("git", "tag", "start")
    output = clone.inside("video")("dvc", "exp", "run", "--name", "small", *settings(**TINY))
    clone.commit("small videos")
    return clone, output


@pytest.fixture
def video(both):
    """The video project of `both`; what a test changes in tracked files is undone."""
    yield both[0].inside("video")
    both[0]("git", "reset", "--quiet", "--hard")


@pytest.fixture
def root(both):
    """The root's project of `both`, as above."""
    yield both[0]
    both[0]("git", "reset", "--quiet", "--hard")


@pytest.fixture
def plain(both, tmp_path):
    """A plain clone of `both`: both pipelines are recorded, and no output is there."""
    both[0]("git", "clone", "--quiet", ".", str(tmp_path / "plain"))
    clone = Clone(tmp_path / "plain")
    clone.identify()
    return clone


def quiet(output, words):
    """Nothing went wrong, and nothing is said of the other pipeline, whose words these are."""
    assert not FAULTS.search(output), output
    assert not words.search(output), output
    return output


def test_the_run_executed_every_stage(both):
    _, output = both
    assert ran(output) == STAGES
    assert "Ran experiment(s): small" in output
    assert not OF_POSES.search(output)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_in_video_knows_video_alone(video, command):
    quiet(video("dvc", *command), OF_POSES)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_at_the_root_knows_the_root_alone(root, command):
    quiet(root("dvc", *command), OF_VIDEO)


@pytest.mark.parametrize("command", COMMANDS[1:], ids=" ".join)
def test_the_root_where_the_video_pipeline_never_ran(finished, command):
    clone, _ = finished
    assert not (clone.folder / "video/data/clips").exists()
    quiet(clone("dvc", *command[:2], *(["HEAD"] if command[2:] == ("start",) else [])), OF_VIDEO)


def test_an_experiment_at_the_root_begins_without_a_word_on_videos(plain):
    """DVC looked for the other pipeline's outputs: eight warnings, or an end with 255."""
    output = plain("dvc", "exp", "run", "--name", "other", "check", "-S", "batch_size=77")
    assert ran(quiet(output, OF_VIDEO)) == ["check"]
    assert plain("git", "status", "--porcelain", "video") == ""


def test_an_experiment_in_video_begins_without_a_word_on_poses(plain):
    """Here the record is there, the outputs are not, as in a clone of this repository."""
    project = plain.inside("video")
    output = project("dvc", "exp", "run", "check", *settings(preset="h100_8gpu", batch_size=1, device="cpu"))
    assert ran(quiet(output, OF_POSES)) == ["check"]
    values = yaml.safe_load((project.folder / "params.yaml").read_text())
    assert (values["preset"], values["processes"], values["batch_size"], values["width"]) == (
        "h100_8gpu",
        8,
        1,
        720,
    )
    assert plain("git", "status", "--porcelain", "params.yaml", "dvc.lock") == ""
    differences = project.json("dvc", "params", "diff", "--json")["params.yaml"]
    assert differences["processes"] == {"old": 1, "new": 8, "diff": 7}
    assert not set(differences) & {"epochs", "version"}


def test_metrics_are_some_ten_headline_values(video):
    shown = video.json("dvc", "metrics", "show", "--json")[""]["data"]
    assert {path: set(found["data"]) for path, found in shown.items()} == HEADLINE
    difference = video.json("dvc", "metrics", "diff", "start", "--json")
    assert {path: set(values) for path, values in difference.items()} == HEADLINE
    assert difference["metrics/train.json"]["steps"] == {"old": 400, "new": 4, "diff": -396}
    table = video("dvc", "exp", "show", "--csv").splitlines()
    columns = table[0].split(",")
    assert set.union(*HEADLINE.values()) <= set(columns)
    assert "rejected" not in columns
    details = json.loads((video.folder / "metrics/details/evaluate.json").read_text())
    assert {"untrained_psnr", "worst_clip_psnr", "device"} <= set(details)


def test_a_run_that_was_made_before_comes_from_the_cache(video):
    """Also of train and evaluate, which have metrics in Git."""
    video("dvc", "exp", "run", "--name", "shorter", *settings(**TINY | {"max_steps": 3}))
    assert json.loads((video.folder / "metrics/train.json").read_text())["steps"] == 3
    output = quiet(video("dvc", "exp", "apply", "small"), OF_POSES)
    output += quiet(video("dvc", "repro"), OF_POSES)
    assert ran(output) == []
    assert json.loads((video.folder / "metrics/train.json").read_text())["steps"] == 4
    quiet(video("dvc", "checkout"), OF_POSES)
    output = video("dvc", "exp", "run", *settings(**TINY | {"max_steps": 3}))
    assert set(ran(quiet(output, OF_POSES))) <= {"check"}
    assert "Stage 'train' is cached - skipping run" in output


def test_experiments_elsewhere_run_the_code_of_their_copy(both, video):
    """`--temp` and the queue run in copies of the repository: neither the clone's code nor the installed one."""
    clone = both[0]
    params = clone.folder / "src/taehv/params.py"
    params.write_text(params.read_text() + "\nprint(f'code of {__file__}')\n")
    output = video("dvc", "exp", "run", "--temp", "--name", "aside", "check", *settings(**TINY | {"seed": 7}))
    assert ran(quiet(output, OF_POSES)) == ["check"]
    assert re.search(r"code of \S*/video/\.dvc/tmp/exps/\S+/src/taehv/params\.py", output)

    output = video(
        "dvc", "exp", "run", "--queue", "--name", "queued", "check", *settings(**TINY | {"seed": 8})
    )
    assert "Queued experiment 'queued'" in quiet(output, OF_POSES)
    clone("git", "reset", "--quiet", "--hard")
    assert "queued" in quiet(video("dvc", "queue", "status"), OF_POSES)
    assert "queued" not in quiet(clone("dvc", "queue", "status"), OF_VIDEO)
    video("dvc", "exp", "run", "--run-all")
    assert video("dvc", "queue", "status").count("Success") == 1
    assert "code of" in video("dvc", "queue", "logs", "queued")
    shown = video("dvc", "exp", "show", "--csv")
    assert {"aside", "queued"} <= set(re.findall(r"aside|queued", shown))


def test_pushed_to_its_own_remote_and_pulled(both, video, plain, tmp_path):
    for clone, name in ((video, "video"), (both[0], "root")):
        clone("dvc", "remote", "add", "--local", "--default", "--force", "shared", str(tmp_path / name))
        assert "pushed" in quiet(clone("dvc", "push"), OF_POSES if name == "video" else OF_VIDEO)
    project = plain.inside("video")
    project("dvc", "remote", "add", "--local", "--default", "shared", str(tmp_path / "video"))
    plain("dvc", "remote", "add", "--local", "--default", "shared", str(tmp_path / "root"))

    quiet(plain("dvc", "pull"), OF_VIDEO)
    assert "Data and pipelines are up to date." in quiet(plain("dvc", "repro"), OF_VIDEO)
    assert not (project.folder / "models/train").exists()

    quiet(project("dvc", "pull"), OF_POSES)
    assert "Data and pipelines are up to date." in quiet(project("dvc", "repro"), OF_POSES)
    assert "Data and pipelines are up to date." in quiet(project("dvc", "status"), OF_POSES)
    best = "models/train/best.safetensors"
    assert (project.folder / best).read_bytes() == (video.folder / best).read_bytes()
    assert plain("git", "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("batchsize=1", "batchsize"),
        ("batch_size=abc", "batch_size is 'abc' but must be a whole number"),
        ("+batchsize=1", "unknown parameter 'batchsize'; did you mean batch_size?"),
        ("preset=h200", "h200"),
    ],
)
def test_a_wrong_parameter_stops_before_anything_is_computed(video, override, says):
    output = video("dvc", "exp", "run", "-S", override, fails=True)
    assert says in output
    assert "Traceback" not in output
    assert set(ran(output)) <= {"check"}


def test_the_root_has_no_stage_and_no_parameter_of_this_one(root):
    assert not OF_VIDEO.search(root("dvc", "stage", "list"))
    assert "video" not in yaml.safe_load((root.folder / "params.yaml").read_text())
    assert not (root.folder / "conf/video").exists()


def test_git_is_offered_no_output(both):
    """Of either pipeline: large files and what a run leaves beside them are ignored."""
    assert both[0]("git", "status", "--porcelain", "video") == ""
    tracked = both[0]("git", "ls-files", "video").split()
    assert {"video/dvc.lock", "video/metrics/train.json", "video/metrics/evaluate.json"} <= set(tracked)
    outputs = ("video/data/", "video/models/", "video/metrics/details/", "video/metrics/live", "video/.runs")
    assert all(name.endswith(".gitignore") for name in tracked if name.startswith(outputs))


def test_the_model_is_registered(both, video, tmp_path):
    """In the registry it goes by its folder: `video=` in the tag, `video:` in the name."""
    clone, _ = both
    clone("git", "tag", "--annotate", "--message", "register", "video=video-autoencoder@v1.0.0")
    video(
        "dvc",
        "artifacts",
        "get",
        ".",
        "video:video-autoencoder",
        "--rev",
        "v1.0.0",
        "--out",
        str(tmp_path / "m"),
    )
    # The card of another test's run may tell of other speeds; the weights are the same.
    got, here = files(tmp_path / "m"), files(video.folder / "models/export")
    assert got.keys() == here.keys()
    weights = [name for name in got if name.endswith((".safetensors", ".pth"))]
    assert len(weights) == 2
    assert all(got[name] == here[name] for name in weights)
