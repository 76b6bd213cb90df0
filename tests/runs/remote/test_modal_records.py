"""What others may have left on the Volume, in a log or in a note: refused or left out in a sentence, never followed."""

import dataclasses
import hashlib
import json
import re
from datetime import UTC, datetime

import pytest
import workspace
from dvclive import Live

import mabe.params
from mabe.training import job
from runs import RunError
from runs.content import Content
from runs.job import Job
from runs.parameters import MachineParams
from runs.remote import backend, calls, records, volume
from runs.remote.backend import Modal
from runs.remote.calls import EVENT, Followed, Outcome
from runs.remote.records import Damaged, Note, parsed
from runs.text import shown
from stages import compute, train

SHA = "0" * 64
FILE = {"size": 3, "sha256": SHA}
NOTE = {"call_id": "fc-1", "app_id": "ap-" + "1" * 22, "label": "v5", "gpu": None}
SCORES = {"loss": 1.0, "f1_macro": 0.5}
RECORD = {"epoch": 1, "lr": 0.1, "seconds": 2, "train": SCORES, "val": SCORES}
DONE = {"label": "v5", "gpu": "A10", "result": {"history": [RECORD]}, "files": {"more/best.pt": FILE}}


def read(value, shape):
    data = value if isinstance(value, bytes | str) else json.dumps(value)
    return parsed(data, shape, "runs/k/x.json", "remove it")


def test_what_a_run_writes_is_read():
    assert read(NOTE, records.note) == Note(**NOTE)
    assert read(NOTE | {"call_id": None, "app_id": None}, records.note).call_id is None
    done = read(DONE, records.done)
    assert (done.label, done.gpu, done.result) == ("v5", "A10", DONE["result"])
    assert done.files == {"more/best.pt": Content(**FILE)}
    found = read({"epoch-10000.pt": FILE, "epoch-9995.pt": FILE}, records.checkpoints)
    assert list(found) == ["epoch-9995.pt", "epoch-10000.pt"]
    names = ["checkpoint-20/run.json", "checkpoint-20/state.pt", "checkpoint-100/state.pt"]
    assert list(read(dict.fromkeys(reversed(names), FILE), records.checkpoints)) == names
    assert read({"step": 0, "val_psnr": 9.5}, records.record) == {"step": 0, "val_psnr": 9.5}
    assert read(RECORD, records.record) == RECORD


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"7",
        b"[" * 100_000,
        b"1" * 10_000,
        b'{"label": "t',
        b" " * (17 << 20),
    ],
)
@pytest.mark.parametrize("shape", [records.note, records.done, records.checkpoints, records.record])
def test_damaged_json_is_one_sentence(data, shape):
    with pytest.raises(Damaged) as caught:
        read(data, shape)
    said = str(caught.value)
    assert re.fullmatch(r"runs/k/x\.json is damaged \(.+\): remove it", said)
    assert len(said) < 300


@pytest.mark.parametrize(
    "change",
    [
        {"call_id": 7},
        {"call_id": "fc-1\n"},
        {"call_id": "https://somewhere"},
        {"app_id": "somebody-elses-app"},  # Modal would look it up by name, and we would stop it
        {"label": None},
        {"label": ["v5"]},
        {"gpu": 3},
    ],
)
def test_a_note_has_ids_and_words(change):
    with pytest.raises(Damaged):
        read(NOTE | change, records.note)


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/x",
        "a/../../x",
        "a//x",
        "./x",
        "",
        ".",
        "..",
        "a\0b",
        "a\nb",
        "\x1b[2J",
        "a\\..\\x",
        "x" * 300,
        "a/" * 300 + "x",
        "\u202egnp.exe",
        "\ud800",
        ".git/config",
        "a/.git/hooks/post-checkout",
        ".GIT/config",
        ".dvc/config.local",
        "...",
    ],
)
def test_a_name_that_may_lead_elsewhere_is_refused(name):
    with pytest.raises(Damaged) as caught:
        read(DONE | {"files": {name: FILE}}, records.done)
    assert str(caught.value).isprintable()
    with pytest.raises(Damaged):
        read({name: FILE}, records.checkpoints)


@pytest.mark.parametrize(
    "facts",
    [
        None,
        [],
        {},
        FILE | {"size": -1},
        FILE | {"size": True},
        FILE | {"size": 1.5},
        FILE | {"size": 1 << 60},
        FILE | {"sha256": 3},
        FILE | {"sha256": SHA + "\n"},
        FILE | {"sha256": "z" * 64},
    ],
)
def test_a_file_has_a_size_and_a_checksum(facts):
    with pytest.raises(Damaged):
        read(DONE | {"files": {"best.pt": facts}}, records.done)
    with pytest.raises(Damaged):
        read({"epoch-0001.pt": facts}, records.checkpoints)


@pytest.mark.parametrize(
    "name", ["best.pt", "epoch-1.pt.exe", "epoch-x.pt", "more/epoch-0001.pt", "checkpoint-x/a"]
)
def test_a_checkpoint_has_a_checkpoints_name(name):
    with pytest.raises(Damaged, match="no checkpoint"):
        read({name: FILE}, records.checkpoints)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"epoch": 0},
        {"epoch": "1"},
        {"epoch": True},
        {"step": -1},
        {"step": "1", "epoch": 1},
        {"epoch": 1, "../../x": 1},
        {"epoch": 1, "train": {"/tmp/x": 1.0}},
        {"epoch": 1, "train": {"a": {"../b": 1}}},
    ],
)
def test_a_record_has_an_epoch_and_plain_names(record, capsys):
    """DVCLive makes files of the names; a line that holds no record is left out, and the run goes on."""
    with pytest.raises(Damaged):
        read(DONE | {"result": {"history": [record]}}, records.done)
    seen = []
    followed = Followed(seen.append)
    followed.take(f"{EVENT}{json.dumps(record)}")
    followed.take(f"{EVENT}{{")
    followed.take(f"{EVENT}{json.dumps(RECORD)}")
    assert seen == [RECORD]
    assert capsys.readouterr().err.count("warning: a record in the log is damaged") == 2


@pytest.mark.parametrize("history", [3, {"a": 1}, [3], "abc"])
def test_a_history_is_a_list_of_records(history):
    with pytest.raises(Damaged):
        read(DONE | {"result": {"history": history}}, records.done)


def test_what_goes_to_a_terminal_cannot_steer_it(capsys):
    line = "\x1b]0;title\x07 \x1b[2J\r\x9b31m loss\t0.5 \u202eabc ä"
    Followed(print).take(line)
    said = capsys.readouterr().out
    assert said == "\\x1b]0;title\\x07 \\x1b[2J\\r\\x9b31m loss\t0.5 \\u202eabc ä\n"
    assert shown("x" * 100, 24) == "x" * 23 + "…"


def test_a_line_without_an_end_comes_in_pieces(monkeypatch):
    class Entry:
        source, timestamp = "stdout", datetime.now(UTC)

        def __init__(self, message):
            self.message = message

    class Logs:
        def fetch(self):
            yield from (Entry("x" * 50_000) for _ in range(6))
            yield Entry("\nend\n")

    call = type("Call", (), {"logs": Logs()})
    modal = type(
        "modal", (), {"FunctionCall": type("C", (), {"from_id": staticmethod(lambda call_id: call)})}
    )
    monkeypatch.setattr(calls, "import_modal", lambda: modal)
    lines = [line for _, line in calls.log_lines("fc-1", follow=False)]
    assert lines[-1] == "end"
    assert "".join(lines[:-1]) == "x" * 300_000
    assert max(map(len, lines)) <= records.LINE


@pytest.mark.parametrize("value", [None, 3, "error", [], {"error": 3}, {"other": ["fc-1"]}])
def test_an_answer_of_another_kind_is_none(value):
    outcome = Outcome(state="ended", value=value)
    assert (outcome.answer("error"), outcome.answer("other")) == ("", "")


class Served(volume.Volume):
    """A Volume whose every file holds the chunks that it is given."""

    def __init__(self, *chunks):
        self.chunks, self.handle, self.read_bytes = chunks, self, 0

    def read_file(self, path):
        for chunk in self.chunks:
            self.read_bytes += len(chunk)
            yield chunk


def test_a_file_of_another_size_is_refused_and_no_more_of_it_fetched(tmp_path):
    served = Served(*10 * [b"xxx"])
    with pytest.raises(RunError, match="does not match its checksum: run the command again"):
        served.download("k", {"a": Content(**FILE)}, "output", tmp_path)
    assert served.read_bytes == 6
    huge = Content(size=1 << 49, sha256=SHA)
    with pytest.raises(RunError, match=r"take 562,950\.0 GB but .* GB free: make room"):
        Served().download("k", {"a": huge}, "output", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_links_lead_nothing_out_of_the_target(tmp_path):
    target, outside = tmp_path / "target", tmp_path / "outside"
    target.mkdir()
    outside.mkdir()
    (target / "folder").symlink_to(outside)
    with pytest.raises(RunError, match="is a link that leads out of"):
        Served(b"abc").download("k", {"folder/a": Content(**FILE)}, "output", target)
    assert list(outside.iterdir()) == []


def test_a_file_of_ours_is_never_overwritten(tmp_path):
    (tmp_path / "params.yaml").write_text("ours")
    for name in ("params.yaml", "folder"):
        (tmp_path / "folder").mkdir(exist_ok=True)
        served = Served(b"abc")
        with pytest.raises(RunError, match=f"{name} is there and another file: remove it, or name another"):
            served.download("k", {name: Content(**FILE)}, "output", tmp_path)
        assert served.read_bytes == 0
    assert (tmp_path / "params.yaml").read_text() == "ours"


def test_only_what_was_fetched_before_counts_as_there(tmp_path, monkeypatch):
    """Other files in the target make no room; what is there and right needs none."""
    monkeypatch.setattr(volume.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 3}))
    (tmp_path / "other").write_bytes(bytes(100))
    files = {n: Content(size=3, sha256=hashlib.sha256(n.encode() * 3).hexdigest()) for n in ("a", "b")}
    with pytest.raises(RunError, match="make room"):
        Served(b"aaa").download("k", files, "output", tmp_path)
    (tmp_path / "b").write_bytes(b"bbb")
    Served(b"aaa").download("k", files, "output", tmp_path)
    assert (tmp_path / "a").read_bytes() == b"aaa"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "other"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"epoch": 1},
        {"epoch": 1, "train": {"loss": [1]}},
        RECORD | {"train": {"loss": [1]}},
        RECORD | {"train": 5},
        RECORD | {"train": {"loss": "1", "f1_macro": 0.5}},
        RECORD | {"val": SCORES | {"more": 1.0}},
        RECORD | {"lr": True},
        RECORD | {"lr": 10**400},
        RECORD | {"epoch": 10**21},
        RECORD | {"epoch": 4},
    ],
)
def test_a_record_of_another_kind_is_left_out_and_the_next_is_taken(tmp_path, monkeypatch, capsys, wrong):
    monkeypatch.chdir(workspace.make(tmp_path / "w", epochs=3, eval_metrics=["f1_macro"]))
    settings = dataclasses.asdict(mabe.params.load(mabe.params.TrainParams))
    streamed = []
    with Live(str(tmp_path / "live"), save_dvc_exp=False, dvcyaml=None) as live:
        followed = Followed(compute.taker(live, train.log, job.fault_of_record, settings, streamed))
        for record in (wrong, RECORD, wrong, RECORD | {"epoch": 2}, wrong, RECORD | {"epoch": 3}):
            followed.take(f"{EVENT}{json.dumps(record)}")
    assert [record["epoch"] for record in streamed] == [1, 2, 3]
    losses = (tmp_path / "live/plots/metrics/train/loss.tsv").read_text().splitlines()
    assert [line.split("\t")[-2:] for line in losses[1:]] == [["1", "1.0"], ["2", "1.0"], ["3", "1.0"]]
    said = capsys.readouterr().err
    assert 0 < said.count("warning: a record in the") <= 3
    assert max(map(len, said.splitlines())) < 300


class Finished(Served):
    """A Volume with a run that is done and lists the outputs `names`."""

    def __init__(self, names):
        self.names = names

    def read(self, key, name, shape):
        return read(DONE | {"files": dict.fromkeys(self.names, FILE)}, shape)


@pytest.mark.parametrize("names", [(), ("best.pt",), ("best.pt", "last.pt", "sitecustomize.py")])
def test_a_run_that_lists_other_outputs_is_refused(tmp_path, monkeypatch, names):
    monkeypatch.setattr(backend, "Volume", lambda: Finished(names))
    outputs = frozenset({"best.pt", "last.pt"})
    job = Job(key="k1", label="v1", function="a:b", params={}, inputs={}, outputs=outputs)
    given = {"compute": "modal", "device": "cpu", "processes": 1, "gpu": None}
    machine = MachineParams(**given, cores=None, memory_mb=None, timeout_s=1, retries=0)
    with pytest.raises(RunError, match=r"lists the outputs .* but leaves best\.pt, last\.pt: `python -m"):
        Modal(machine, {"cpu": 0.10}).carry_out(job, tmp_path / "out", print)
    assert not (tmp_path / "out").exists()
