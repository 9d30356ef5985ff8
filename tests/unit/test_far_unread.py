"""What a disk has lost, or is somebody else's, holds itself back and nothing else."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from burstd.far import postmortem, rundir
from burstd.far.endrecord import EndRecord
from burstd.far.rundir import RunDir
from tests.far.kit import order
from tests.unit.staged import of
from tests.unit.test_far_answers import KEY, SECRET, asked

STUDY = "/home/alice/study"
FILES = ("a", "bad", "given", "z", "hole/x", "hole/input", "plain/y")


@pytest.fixture
def broken(tmp_path: Path) -> RunDir:
    run = RunDir.open(str(tmp_path), KEY, create=True)
    for name in FILES:
        place = Path(run.path) / "tree/home/alice/study" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(name.encode())
    inputs = tuple(of(f"{STUDY}/{name}", b"sent") for name in ("given", "hole/input", "gone"))
    run.write(rundir.ORDER, order(key=KEY, inputs=inputs).to_json())
    run.mark_start(1)
    return run


@contextmanager
def disk_without(*names: str) -> Iterator[None]:
    """One that has lost the bytes of files, and the names in directories, of these names."""

    def failing(call: Callable[..., Any]) -> Callable[..., Any]:
        def read(fd: int, *more: Any) -> Any:
            if isinstance(fd, int) and Path(f"/proc/self/fd/{fd}").readlink().name in names:
                raise OSError(errno.EIO, "Input/output error")
            return call(fd, *more)

        return read

    with pytest.MonkeyPatch.context() as patch:
        for name in ("pread", "preadv", "listdir"):
            patch.setattr(os, name, failing(getattr(os, name)))
        yield


def record_of(run: RunDir) -> EndRecord:
    return EndRecord.unseal(postmortem.end_of(run), SECRET, KEY)


def told(end: EndRecord) -> dict[str, str]:
    """Of each name its kind, or why it can't be read."""
    return {
        o.path.removeprefix(f"{STUDY}/"): (o.target or "") if o.kind == "unreadable" else o.kind
        for o in end.outputs
        if o.kind != "dir"
    }


def test_what_a_disk_has_lost_is_told_and_all_else_is_listed(broken: RunDir) -> None:
    with disk_without("bad", "given", "hole"):
        end = record_of(broken)
    lost, others = "Input/output error", dict.fromkeys(("a", "z", "plain/y"), "file")
    assert others | dict.fromkeys(("bad", "given", "hole"), lost) == told(end)
    # What was in a directory that nobody can look into may be there still.
    assert (f"{STUDY}/gone",) == end.deleted


def test_what_can_be_read_again_is_a_result_then(broken: RunDir) -> None:
    with disk_without("bad", "given", "hole"):
        first = postmortem.end_of(broken)
        assert first == postmortem.end_of(broken)
    assert first == postmortem.end_of(broken)  # who asks every minute has nothing read each time
    for left in (("hole",), ("hole",), ()):
        os.utime(Path(broken.path) / "end.json", (0, 0))
        with disk_without(*left):
            end = record_of(broken)
        assert set(left) == {name for name, kind in told(end).items() if kind != "file"}
    assert dict.fromkeys(sorted(FILES), "file") == told(end)
    assert (f"{STUDY}/gone",) == end.deleted
    for output in end.outputs:
        if output.kind == "file":
            name = output.path.removeprefix(f"{STUDY}/")
            assert of(name, name.encode()).blake3 == output.blake3


def test_one_that_is_removed_then_holds_nothing_any_more(broken: RunDir) -> None:
    with disk_without("bad"):
        assert "bad" in told(record_of(broken))
    (Path(broken.path) / "tree/home/alice/study/bad").unlink()
    os.utime(Path(broken.path) / "end.json", (0, 0))
    assert {*FILES} - {"bad"} == told(record_of(broken)).keys()


def test_what_is_above_the_jobs_directory_holds_all_of_it(broken: RunDir) -> None:
    with disk_without("alice"), pytest.raises(OSError, match="Input/output error"):
        postmortem.end_of(broken)
    assert {*FILES} == told(record_of(broken)).keys()


def test_a_disk_without_one_file_refuses_that_one_alone(broken: RunDir) -> None:
    (Path(broken.path) / "io").mkdir()
    (Path(broken.path) / "io/stdout").write_bytes(b"said")
    paths_ = [f"{STUDY}/{name}" for name in ("a", "bad", "z")]
    which: list[Any] = [{"path": path} for path in paths_]
    with disk_without("bad", "stdout"):
        end = record_of(broken)
        reads = [{"op": "read", "which": w, "offset": 0, "length": 9} for w in (*which, "stdout")]
        names = {"op": "names", "path": paths_[1], "offset": 0, "length": 3}
        found = asked(broken, *reads, names, {"op": "gather", "paths": paths_, "most": 100})
    assert None is end.stdout
    assert [None, "refused", None, "refused", "refused", None] == [a.get("error") for a in found]
    assert [1, -1, 1] == found[-1]["sizes"]
