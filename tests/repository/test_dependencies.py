"""Both dvc.yaml: a stage depends on all of the library that it imports, or a change would leave a stale result."""

import ast
import configparser
import functools
import os
import re
import shutil
import types
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

import mabe.params
import taehv.params
from stages import keys

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
PIPELINES = {
    name: yaml.safe_load((ROOT / name / "dvc.yaml").read_text())["stages"]
    for name in (
        "",
        "video",
    )  # directories of dvc.yaml, its paths, dvc.lock and, within stages/, of the scripts
}
for pipeline in PIPELINES.values():
    for name, stage in pipeline.items():
        pipeline[name] = stage.get("do", stage)  # a stage for each of several, or of none
EVERY = [(pipeline, stage) for pipeline, stages in PIPELINES.items() for stage in sorted(stages)]
# Not of a stage's result: how parameters are read (their values are dependencies), exceptions, and how a run is
# carried out. Most of runs/ writes, keeps and fetches what mabe and taehv compute and computes nothing itself: training
# here and in a container is one call, and ends with the same bits (test_modal_train.py). As a dependency, a line on how
# a download resumes would throw away every trained model. What of runs/ is not listed here decides numbers.
EXEMPT = (
    "mabe/params.py",
    "mabe/errors.py",
    "mabe/__init__.py",
    "taehv/params.py",
    "taehv/__init__.py",
    *(
        f"runs/{name}.py"
        for name in ("__init__", "__main__", "atomic", "checkpoints", "commands", "content", "cores", "cost")
    ),
    *(
        f"runs/{name}.py"
        for name in (
            "folders",
            "gpu",
            "job",
            "launcher",
            "local",
            "memory",
            "models",
            "parameters",
            "signals",
        )
    ),
    "runs/text.py",
    "runs/together.py",
    "runs/remote/",
)
WHERE = ("src/runs/remote", "stages/compute.py", "stages/common.py", "stages/keys.py")
"""Where and how a run is carried out, and what identifies it."""


def modules(path: Path) -> set[Path]:
    """The library's files that a file imports itself."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            base = SRC / name.replace(".", "/")
            found |= {p for p in (base.with_suffix(".py"), base / "__init__.py") if p.exists()}
    return found


def closure(path: Path) -> set[Path]:
    """The library's files that a file needs, directly or not; those of exempt ones left out."""
    seen: set[Path] = set()
    todo = [path]
    while todo:
        for found in modules(todo.pop()) - seen:
            if not str(found.relative_to(SRC)).startswith(EXEMPT):
                seen.add(found)
                todo.append(found)
    return seen


def path_of(pipeline: str, dependency: str) -> Path:
    """A dependency as its dvc.yaml writes it, relative to the pipeline's directory."""
    return Path(os.path.normpath(ROOT / pipeline / dependency))


@pytest.mark.parametrize(
    ("pipeline", "name"), [pair for pair in EVERY if pair[1] != "check"]
)  # it makes nothing
def test_a_stage_depends_on_all_it_imports(pipeline, name):
    listed = [path_of(pipeline, dep) for dep in PIPELINES[pipeline][name]["deps"]]
    needed = closure(ROOT / "stages" / pipeline / f"{name.replace('-', '_')}.py")
    assert needed, name
    missing = {
        p.relative_to(ROOT).as_posix() for p in needed if not any(p == d or d in p.parents for d in listed)
    }
    assert not missing


def test_no_stage_depends_on_where_a_run_is_carried_out():
    for pipeline, name in EVERY:
        paths = [path_of(pipeline, dep).relative_to(ROOT) for dep in PIPELINES[pipeline][name]["deps"]]
        assert not [path for path in paths if path.as_posix().startswith(WHERE)], name


@pytest.mark.parametrize(("pipeline", "name"), EVERY)
def test_no_pipeline_depends_on_the_other_ones_files(pipeline, name):
    others = "src/mabe" if pipeline else "src/taehv"
    paths = [path_of(pipeline, dep).relative_to(ROOT).as_posix() for dep in PIPELINES[pipeline][name]["deps"]]
    assert not [path for path in paths if path.startswith(others)]
    inside = [path for path in paths if not path.startswith(("src/", "stages/"))]
    assert all(path.startswith("video/") == bool(pipeline) for path in inside)


def test_both_pipelines_have_the_same_settings_of_dvc():
    """But for what says where something is."""
    settings = [configparser.ConfigParser() for _ in PIPELINES]
    for parser, name in zip(settings, PIPELINES, strict=True):
        parser.read_string((ROOT / name / ".dvc/config").read_text())
    root, video = ({name: dict(parser[name]) for name in parser} for parser in settings)
    remote = "'remote \"storage\"'"
    assert root[remote]["url"] != video[remote]["url"]
    places = {"url", "plugins_path", "html_template"}
    for name in root | video:
        assert root[name].keys() == video[name].keys(), name
        assert {k: v for k, v in root[name].items() if k not in places} == {
            k: v for k, v in video[name].items() if k not in places
        }, name


def test_what_decides_where_decides_nothing_else():
    """stages/compute.py, which no stage depends on, has only how a run executes and its parameters at hand."""
    assert closure(ROOT / "stages/compute.py") == set()


@pytest.mark.parametrize("train", [mabe.params.TrainParams, taehv.params.TrainParams], ids=["", "video"])
def test_parameters_of_training_are_values_alone(train):
    """No dependency is the module of parameters, so nothing that a training does stands there."""
    behaviour = (property, functools.cached_property, types.FunctionType)
    found = [
        name
        for name, value in vars(train).items()
        if isinstance(value, behaviour) and not name.startswith("_")
    ]
    assert found == []


CHANGED = "# another line\n"


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The code and both dvc.yaml, as two DVC projects that Git does not know."""
    folder = tmp_path_factory.mktemp("code")
    for name in ("src", "stages"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    for name in PIPELINES:
        (folder / name).mkdir(exist_ok=True)
        for file in ("dvc.yaml", "params.yaml"):
            shutil.copyfile(ROOT / name / file, folder / name / file)
        shutil.copyfile(ROOT / ".dvcignore", folder / name / ".dvcignore")
        Repo.init(str(folder / name), no_scm=True).close()
    return folder


@pytest.mark.parametrize("pipeline", PIPELINES, ids=["root", "video"])
def test_dvc_and_the_key_agree_on_every_file(copy, pipeline, monkeypatch):
    """Each file of the code is edited in turn: DVC would train again exactly when the run has another key."""
    monkeypatch.chdir(copy / pipeline)
    monkeypatch.setattr(keys, "ROOT", copy)
    monkeypatch.setattr(keys, "CODE", (copy / "src", copy / "stages"))
    params = dict.fromkeys(PIPELINES[pipeline]["train"]["params"])

    def key():
        return keys.key_of_training(params, {}, pipeline=pipeline)

    trains_again = set()
    with Repo() as repo:
        (stage,) = repo.stage.load_all(name="train")
        code = [dep for dep in stage.deps if Path(dep.fs_path).is_relative_to(copy)]
        code = [dep for dep in code if Path(dep.fs_path).relative_to(copy).parts[0] in ("src", "stages")]
        for dep in code:
            dep.save()
        before = key()
        for path in sorted(p for folder in ("src", "stages") for p in (copy / folder).rglob("*")):
            if not path.is_file() or "__pycache__" in path.parts:
                continue
            text = path.read_bytes()
            path.write_bytes(text + CHANGED.encode())
            above = [dep for dep in code if path == Path(dep.fs_path) or Path(dep.fs_path) in path.parents]
            changed = any(dep.workspace_status() for dep in above)
            assert changed == (key() != before), path
            if changed:
                trains_again.add(path.relative_to(copy).as_posix())
            path.write_bytes(text)
        assert key() == before
        assert not any(dep.workspace_status() for dep in code)
    package = "taehv" if pipeline else "mabe"
    assert {f"src/{package}/training/loop.py" if package == "mabe" else "src/taehv/train.py"} <= trains_again
    assert not trains_again & {
        "src/mabe/plots.py",
        "src/mabe/score.py",
        "src/mabe/submission.py",
        "src/sample/scene.py",
        "src/taehv/curves.py",
        "src/taehv/figures.py",
        "src/runs/remote/backend.py",
        "stages/evaluate.py",
    }


def listed(pipeline: str, entries: list) -> list[str]:
    """Paths or names of a stage's section, with what params.yaml has for ${key}."""
    values = yaml.safe_load((ROOT / pipeline / "params.yaml").read_text())
    names = [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]
    return sorted(re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], name) for name in names)


@pytest.mark.parametrize(("pipeline", "name"), EVERY)
def test_the_lock_lists_what_the_pipeline_lists(pipeline, name):
    """dvc.lock was written by dvc.yaml as it stands, so `dvc repro` compares with all that a stage depends on."""
    locked = yaml.safe_load((ROOT / pipeline / "dvc.lock").read_text())["stages"]
    locked = {key.partition("@")[0]: lock for key, lock in locked.items()}
    stages = PIPELINES[pipeline]
    assert locked.keys() == stages.keys()
    stage, lock = stages[name], locked[name]
    assert lock["cmd"] == stage["cmd"]
    assert sorted(dep["path"] for dep in lock["deps"]) == listed(pipeline, stage["deps"])
    assert sorted(lock.get("params", {}).get("params.yaml", {})) == listed(pipeline, stage.get("params", []))
    outs = [out.replace("${item}", "sample") for out in stage.get("outs", [])]
    assert sorted(out["path"] for out in lock.get("outs", [])) == sorted(
        listed(pipeline, outs + stage.get("metrics", []))
    )
