"""Answers that are too long, for a frame or for who asked, and records that nobody has sworn to."""

from __future__ import annotations

import errno
import io
import json
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from burstd.far import paths, postmortem, rundir, wire
from burstd.far.client import Client, gathered
from burstd.far.depot import Limits, Session
from burstd.far.endrecord import EndForged, EndRecord, StreamDigest
from burstd.far.errors import BROKEN, FarError
from burstd.far.fields import canonical
from burstd.far.outputs import Baseline, collect
from burstd.far.rundir import RunDir

KEY, SECRET = "b-1", "5a" * 32
DEEP = "/" + "/".join(["d" * 250] * 15)


def asked(run: RunDir, *requests: wire.Header) -> list[wire.Header]:
    """The answers of one conversation."""
    said, heard = io.BytesIO(), io.BytesIO()
    for request in requests:
        wire.send(said, request)
    said.seek(0)
    Session(str(Path(run.path).parent.parent), KEY, said, heard, Limits()).serve()
    heard.seek(0)
    answers = list[wire.Header]()
    while (header := wire.receive(heard)) is not None:
        wire.read_exactly(heard, wire.payload_size(header))
        answers.append(header)
    return answers


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir.open(str(tmp_path), KEY, create=True)


@pytest.fixture
def memory() -> Iterator[Path]:
    """On a file system that has times of any year."""
    if not Path("/dev/shm").is_dir():
        pytest.skip("no tmpfs here")
    with TemporaryDirectory(dir="/dev/shm") as place:
        yield Path(place)


def _quiet() -> None:
    pass


def tree_of(run: RunDir) -> Path:
    return Path(run.path) / "tree"


@pytest.mark.parametrize("count", [1, 4500])
def test_a_job_with_many_live_files_is_told_of_all_the_same(run: RunDir, count: int) -> None:
    tree = run.directory(rundir.TREE)
    with paths.directory(tree, paths.split(DEEP), create=True) as cwd:
        for number in range(count):
            os.close(os.open(b"%d.sta" % number, os.O_CREAT | os.O_WRONLY, dir_fd=cwd))
    files = [{"path": f"{DEEP}/{n}.sta", "size": 0, "mtime_ns": 0} for n in range(count)]
    run.write(rundir.STATUS, canonical({"attempt": 1, "live": files}))
    run.write(rundir.LIVE, canonical({"cwd": DEEP, "live": ["*.sta"]}))
    status, listed, hello = asked(
        run, {"op": "status"}, {"op": "files", "patterns": ["*"]},
        {"op": "hello", "protocol": wire.PROTOCOL},
    )  # fmt: skip
    assert {"attempt": 1} == status["status"]
    live = status["live"]
    assert isinstance(live, list)
    assert (count if count == 1 else 2000) <= len(live) <= count
    assert hello["ok"]
    assert ("refused" if count > 1 else None) == listed.get("error")
    os.close(tree)


def test_a_directory_that_is_named_stands_for_all_below_it(run: RunDir) -> None:
    tree = run.directory(rundir.TREE)
    for name in ("w/a", "w/results/b", "w/results/late/c", "w/others/d"):
        place = tree_of(run) / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    (tree_of(run) / "w/results/up").symlink_to("..")
    run.write(rundir.LIVE, canonical({"cwd": "/w", "live": ["results"]}))
    patterns = [["results"], ["*/results", "res*"], ["results/*"], ["*"]]
    asks: list[dict[str, object]] = [{"op": "files", "patterns": some} for some in patterns]
    named = [[file["path"] for file in answer["files"]] for answer in asked(run, *asks)]  # type: ignore[attr-defined]
    below = ["/w/results/b", "/w/results/late/c"]
    assert [below, [], ["/w/results/b"], ["/w/a"]] == named
    (status,) = asked(run, {"op": "status"})
    assert [] == (status["live"] or [])
    os.close(tree)


def test_a_time_that_hardly_any_file_has_is_told_as_one_that_both_ends_have(memory: Path) -> None:
    run = RunDir.open(str(memory), KEY, create=True)
    tree = run.directory(rundir.TREE)
    found = dict[str, int]()
    for name, seconds in (("early", -(10**10)), ("late", 10**10), ("now", 1)):
        place = tree_of(run) / name
        place.touch()
        os.utime(place, ns=(0, seconds * 10**9))
        found[f"/{name}"] = place.stat().st_mtime_ns
    harvest = collect(tree, Baseline(0, frozenset(), {}), [], ["/early", "/late", "/now"], _quiet)
    bounds = [min(max(found[output.path], -(2**63)), 2**63 - 1) for output in harvest.outputs]
    assert bounds == [output.mtime_ns for output in harvest.outputs]
    (tree_of(run) / "w").mkdir()
    (tree_of(run) / "early").rename(tree_of(run) / "w" / "early")
    run.write(rundir.LIVE, canonical({"cwd": "/w", "live": ["*"]}))
    status, listed = asked(run, {"op": "status"}, {"op": "files", "patterns": ["*"]})
    for answer, name in ((status, "live"), (listed, "files")):
        (file,) = answer[name]  # type: ignore[misc]
        assert -(2**63) == file["mtime_ns"]  # type: ignore[has-type]
    os.close(tree)


def test_results_that_can_not_be_read_at_the_moment_are_asked_for_again(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    def barred(_run: RunDir) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", "/w")

    monkeypatch.setattr(postmortem, "end_of", barred)
    (answer,) = asked(run, {"op": "outputs"})
    assert "broken" == answer["error"]


class Line(io.BytesIO):
    """A far end that answers with so many bytes, whatever was asked."""

    def __init__(self, size: int, **header: object) -> None:
        said = io.BytesIO()
        wire.send(said, {"ok": True, **header}, bytes(size))
        super().__init__(said.getvalue())


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.read("stdout", 0, 10),
        lambda client: client.read_into({"path": "/w/a"}, io.BytesIO(), 0, 10),
        lambda client: client.want([(bytes(32), 1)]).result(),
        lambda client: client.names("/w/a", 0, 10).result(),
        lambda client: client.status(),
        lambda client: gathered(client.gather(["/w/a"], 10), 1),
    ],
)
def test_more_than_was_asked_for_is_not_taken(ask: Callable[[Client], object]) -> None:
    sizes = {"sizes": [9 * 2**20]}
    with pytest.raises(FarError) as refused:
        ask(Client(io.BytesIO(), Line(9 * 2**20, total=5, **sizes)))
    assert BROKEN == refused.value.code


def record() -> EndRecord:
    return EndRecord(
        KEY, 1, 0, None, "exited", 'na\u00efve "}', "", "", 1.5, 0.0, 0.0, 1, ("n1",), "", "",
        (), ("/w/\udcff",), (), StreamDigest(1, "00" * 32), None,
    )  # fmt: skip


def test_a_record_is_written_as_it_always_was_and_read() -> None:
    document = record().seal(SECRET)
    assert document == canonical(json.loads(document)) + b"\n"
    assert record() == EndRecord.unseal(document, SECRET, KEY)
    assert record() == EndRecord.unseal(document.rstrip(), SECRET, KEY)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d[:-3],
        lambda d: d + b" ",
        lambda d: b" " + d,
        lambda d: d.replace(b'"attempt":1', b'"attempt":2'),
        lambda d: d.replace(b'"hmac"', b'"HMAC"'),
        lambda d: d.replace(b"}}\n", b"}}}\n"),
        lambda d: b"",
        lambda d: b"{}",
    ],
)
def test_no_other_one_is(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(EndForged):
        EndRecord.unseal(change(record().seal(SECRET)), SECRET, KEY)


def test_what_nobody_has_sworn_to_takes_no_memory() -> None:
    document = b'{"hmac":"%s","record":[%s[]]}\n' % (b"0" * 64, b"[]," * (10 * 2**20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(EndForged):
        EndRecord.unseal(document, SECRET, KEY)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2 * len(document) / 1024
