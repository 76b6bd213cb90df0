"""The pipeline's data in S3: pushed to a real server, pulled into fresh clones, and what is said when it fails."""

import hashlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
import swift_server
import yaml
from repository import Clone, ran, scratch
from swift_server import SwiftServer
from workspace import ROOT, change, files

pytestmark = pytest.mark.integration

BUCKET = "laboratory"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A running server with an empty bucket."""
    folder = tmp_path_factory.mktemp("swift")
    swift_server.require(folder)
    with SwiftServer(folder / "server") as running:
        running.make_bucket(BUCKET)
        yield running
    assert "eventlet" not in sys.modules, "Swift was imported here: see swift_server.RINGS"


@pytest.fixture
def copy(origin, tmp_path):
    """A copy of the origin with its cache, for a test to push from."""
    shutil.copytree(origin.folder, tmp_path / "copy", symlinks=True, ignore=scratch)
    return Clone(tmp_path / "copy")


@pytest.fixture
def fresh(origin, tmp_path):
    """A clone of the origin: what Git has, and no cache."""
    folder = tmp_path / "fresh"
    origin("git", "clone", "--quiet", ".", str(folder))
    clone = Clone(folder)
    clone.identify()
    return clone


@pytest.fixture(scope="module")
def stored(server, origin, tmp_path_factory):
    """The path in the bucket that holds HEAD's data and every run."""
    folder = tmp_path_factory.mktemp("stored") / "copy"
    shutil.copytree(origin.folder, folder, symlinks=True, ignore=scratch)
    pushing = connected(Clone(folder), server, "all")
    assert "files pushed" in pushing("dvc", "push")
    assert "Everything is up to date." in pushing("dvc", "push")
    assert "files pushed for" in pushing("python", "-m", "tools.share")
    return "all"


def connected(clone, server, path):
    """Sets a repository up as docs/storage.md says: the bucket in its own settings, the rest in the environment."""
    clone.environment |= {
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_ACCESS_KEY_ID": swift_server.KEY,
        "AWS_SECRET_ACCESS_KEY": swift_server.SECRET,
    }
    clone("dvc", "remote", "modify", "--local", "storage", "url", f"s3://{BUCKET}/{path}")
    return clone


def cached(clone):
    return files(clone.folder / ".dvc/cache/files")


def interrupted(clone, server, *command, enough: Callable[[], bool]):
    """What `command` prints when the server dies as soon as `enough` is true; the server is up again after.

    Give it many jobs: each waits through its retries.
    """
    process = subprocess.Popen(
        command,
        cwd=clone.folder,
        env=clone.environment | {"AWS_MAX_ATTEMPTS": "1"},  # gives up sooner
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        while process.poll() is None and not enough():
            time.sleep(0.001)
    finally:
        server.kill()
    try:
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
        server.start()
    assert process.returncode != 0, output
    return output


def test_default_remote_is_s3_and_git_knows_neither_bucket_nor_secret(fresh):
    assert fresh("dvc", "remote", "default").strip() == "storage"
    assert fresh("dvc", "remote", "list").split()[1].startswith("s3://")
    settings = fresh("git", "show", "HEAD:.dvc/config")
    assert not any(word in settings for word in ("secret", "access_key", "endpoint", "profile"))
    assert fresh("git", "check-ignore", ".dvc/config.local").strip() == ".dvc/config.local"


def test_without_a_bucket_only_storage_commands_fail(copy, fresh):
    for clone in (copy, fresh):
        clone.environment["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"  # where nobody listens
    assert "Data and pipelines are up to date." in copy("dvc", "repro")
    assert "Data and pipelines are up to date." in copy("dvc", "status")
    assert ran(copy("dvc", "exp", "run", "--no-hydra", "--force", "--single-item", "check")) == ["check"]
    for done in (copy("dvc", "push", fails=True), fresh("dvc", "pull", fails=True)):
        assert 'Invalid bucket name "no-bucket-set~see-docs-storage.md"' in done
        assert "Traceback" not in done
    done = copy("python", "-m", "tools.share", fails=True)
    assert done.startswith(
        "error: the runs cannot be pushed: Parameter validation failed: Invalid bucket name"
    )
    assert len(done.strip().splitlines()) == 1


def test_a_fresh_clone_pulls_and_has_nothing_to_do(server, origin, stored, fresh):
    connected(fresh, server, stored)("dvc", "pull")
    output = fresh("dvc", "repro")
    assert ran(output) == []
    assert "Data and pipelines are up to date." in output
    assert fresh("git", "status", "--porcelain") == ""
    for path in locked(fresh, "HEAD"):
        assert _content(fresh.folder / path) == _content(origin.folder / path), path


def test_a_fresh_clone_restores_another_version_without_training(server, origin, stored, fresh):
    connected(fresh, server, stored)("dvc", "pull")
    first = yaml.safe_load(fresh("git", "show", "first:params.yaml"))
    change(fresh.folder, dropout=first["dropout"])  # HEAD is the second version
    assert set(fresh.json("dvc", "status", "--json")) == {"check", "train"}
    output = fresh("dvc", "repro", "--pull")
    assert set(ran(output)) <= {"check"}
    for stage in ("train", "evaluate", "export"):
        assert f"Stage '{stage}' is cached - skipping run, checking out outputs" in output
    restored = _outs((fresh.folder / "dvc.lock").read_text())
    assert restored == locked(fresh, "first") != locked(fresh, "second")
    for name in ("train", "evaluate"):  # in Git, so no cache has them but the run cache
        kept = fresh("git", "show", f"first:metrics/{name}.json")
        assert (fresh.folder / f"metrics/{name}.json").read_text() == kept
    weights = (fresh.folder / "models/train/best.pt").read_bytes()
    assert weights != (origin.folder / "models/train/best.pt").read_bytes()


def test_a_wrong_secret_is_refused_and_changes_nothing(server, stored, copy, fresh):
    before, count = cached(copy), server.objects()
    for clone in (connected(copy, server, "secret"), connected(fresh, server, stored)):
        clone.environment["AWS_SECRET_ACCESS_KEY"] = "wrong"
    commands = [
        (copy, ("dvc", "push")),
        (copy, ("python", "-m", "tools.share")),
        (fresh, ("dvc", "pull")),
    ]
    for clone, command in commands:
        output = clone(*command, fails=True)
        assert "Forbidden" in output
        assert "Traceback" not in output
    assert cached(copy) == before
    assert server.objects() == count
    assert fresh("git", "status", "--porcelain") == ""
    assert cached(fresh) == {}


def test_a_server_that_stops_during_a_push_loses_nothing(server, copy, fresh):
    connected(copy, server, "half")
    before, count = cached(copy), server.objects()
    output = interrupted(
        copy, server, "dvc", "push", "--jobs", "32", enough=lambda: server.objects() >= count + 5
    )
    assert "failed to push data to the cloud" in output or "Could not connect to the endpoint URL" in output
    assert "Traceback" not in output
    assert cached(copy) == before
    arrived = server.objects() - count
    assert arrived >= 5
    assert "files pushed" in copy("dvc", "push")  # the rest
    assert server.objects() - count > arrived
    connected(fresh, server, "half")("dvc", "pull")
    assert ran(fresh("dvc", "repro")) == []


def test_a_server_that_stops_during_a_pull_leaves_no_damaged_file(server, stored, fresh):
    connected(fresh, server, stored)
    folder = fresh.folder / ".dvc/cache/files"
    output = interrupted(
        fresh,
        server,
        "dvc",
        "pull",
        "--jobs",
        "32",
        enough=lambda: len(_whole_files(folder)) >= 5,
    )
    assert "failed to pull data from the cloud" in output or "Could not connect to the endpoint URL" in output
    assert "Traceback" not in output
    assert len(_whole_files(folder)) >= 5
    for path in _whole_files(folder):
        assert hashlib.md5(path.read_bytes()).hexdigest() == path.parent.name + path.name.split(".")[0]
    assert fresh("git", "status", "--porcelain") == ""
    fresh("dvc", "pull")  # the rest
    assert ran(fresh("dvc", "repro")) == []


def test_a_model_is_read_from_the_bucket_without_a_pull(server, origin, stored, fresh):
    connected(fresh, server, stored)
    fresh("git", "tag", "--annotate", "--message", "model", "behaviour-model@v2.0.0", "second")
    fresh("dvc", "artifacts", "get", ".", "behaviour-model", "--out", "got")
    assert files(fresh.folder / "got") == files(origin.folder / "models/export")


def test_commands_of_the_page_on_storage_run_as_printed(server, copy, fresh, tmp_path):
    page = (ROOT / "docs/storage.md").read_text()
    blocks = re.findall(r"^```(sh|python)\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 8
    placeholders = {
        "s3://YOUR-BUCKET": f"s3://{BUCKET}",
        "https://YOUR-ENDPOINT": server.endpoint,
        "YOUR-KEY": swift_server.KEY,
        "YOUR-SECRET": swift_server.SECRET,
        "/YOUR/DIRECTORY": str(tmp_path / "disk"),
    }
    aws, *rest = (_filled(text, placeholders) for _, text in blocks)
    # AWS itself cannot be reached: its commands are run with the endpoint of the next block.
    script = "\n".join([f"export AWS_ENDPOINT_URL={server.endpoint}", aws, *rest[:3]])
    copy("bash", "-ec", script)
    settings = (copy.folder / ".dvc/config.local").read_text()
    assert str(tmp_path / "disk") in settings
    assert swift_server.SECRET in settings
    assert copy("git", "status", "--porcelain") == ""
    share = [text for text in rest[3:] if "tools.share" in text]
    copy("bash", "-ec", *share)

    shutil.copyfile(copy.folder / ".dvc/config.local", fresh.folder / ".dvc/config.local")
    for kind, text in zip([kind for kind, _ in blocks[4:]], rest[3:], strict=True):
        if "tools.share" in text:
            first = yaml.safe_load(fresh("git", "show", "first:params.yaml"))
            change(fresh.folder, dropout=first["dropout"])
            continue
        output = fresh("bash", "-ec", text) if kind == "sh" else fresh(sys.executable, "-c", text)
        assert set(ran(output)) <= {"check"}, text
    assert "model.safetensors" in files(fresh.folder / "model-v1")


def _filled(text, placeholders):
    for placeholder, value in placeholders.items():
        text = text.replace(placeholder, value)
    assert "YOUR" not in text
    return text


def _content(path):
    return files(path) if path.is_dir() else path.read_bytes()


def _outs(lock):
    """The hash of every output in a dvc.lock, by path."""
    return {
        out["path"]: out["md5"]
        for stage in yaml.safe_load(lock)["stages"].values()
        for out in stage.get("outs", ())
    }


def locked(clone, revision):
    return _outs(clone("git", "show", f"{revision}:dvc.lock"))


def _whole_files(folder):
    """Files of a cache that have their final name."""
    return [p for p in folder.rglob("*") if p.is_file() and len(p.name.split(".")[0]) == 30]
