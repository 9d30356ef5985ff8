"""All processes of a far job are killed: what the payload wrote is the user's all the same."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from burstd.far import paths, postmortem, rundir
from burstd.far.endrecord import EndRecord
from burstd.far.errors import BROKEN, BUSY, MISSING, NEVER_STARTED, FarError
from burstd.far.rundir import RunDir
from burstd.far.workplace import make_work
from tests.far.kit import (
    KEY,
    SECRET,
    FarEnd,
    await_gone,
    await_line,
    children,
    finish,
    kill,
    order,
    submit,
)

STUDY = "/home/alice/study"
INPUTS = {f"{STUDY}/beam.inp": b"*NODE\n", f"{STUDY}/load.inp": b"1\n"}
SCRIPT = """#!/bin/bash
echo half > half.txt; mkdir new; echo deep > new/deep.txt; echo changed >> beam.inp
echo ready; sleep 300
"""


def kill_all(site: FarEnd) -> None:
    """A payload in the middle, and then no process of its job at all."""
    submit(site, SCRIPT, INPUTS)
    runner = site.run()
    await_line(site.run_dir / "io/stdout", "ready", lambda: runner.poll() is None)
    everybody = [runner.pid, *below(runner.pid)]
    for number in (signal.SIGSTOP, signal.SIGKILL):  # else one sees the other die, and acts
        for pid in everybody:
            with suppress(ProcessLookupError):  # a helper of the start may have ended by itself
                kill(pid, number)
    finish(runner)
    await_gone(everybody[1:])


def below(pid: int) -> list[int]:
    return [one for child in children(pid) for one in (child, *below(child))]


def tidy(site: FarEnd) -> None:
    """The next run on this node removes what the killed one could not."""
    with site.serving() as (client, _):
        client.order(order(attempt=2), b"#!/bin/sh\nexit 0\n")
    assert 1 == len(list((site.home / "tmp").iterdir()))
    assert 0 == finish(site.run(attempt=2))[0]


def test_the_record_is_written_by_who_asks_for_it_and_results_are_whole(site: FarEnd) -> None:
    kill_all(site)
    with site.serving() as (client, _):
        end = EndRecord.unseal(client.outputs(), SECRET, KEY)
        assert client.outputs() == (site.run_dir / "end.json").read_bytes()

    assert (137, 9, "killed") == (end.exit_code, end.signal, end.reason)
    assert [
        ("dir", f"{STUDY}/new"),
        ("file", f"{STUDY}/beam.inp"),
        ("file", f"{STUDY}/half.txt"),
        ("file", f"{STUDY}/new/deep.txt"),
    ] == sorted((o.kind, o.path) for o in end.outputs)
    assert end.stdout is not None
    assert len("ready\n") == end.stdout.size
    tidy(site)


def test_no_record_is_written_while_a_runner_is_alive(site: FarEnd) -> None:
    submit(site, "#!/bin/bash\necho ready; sleep 300\n")
    runner = site.run()
    await_line(site.run_dir / "io/stdout", "ready", lambda: runner.poll() is None)
    with site.serving() as (client, _):
        with pytest.raises(FarError) as refused:
            client.outputs()
        assert BUSY == refused.value.code
        runner.terminate()
        finish(runner)
        assert "cancelled" == EndRecord.unseal(client.outputs(), SECRET, KEY).reason


def test_where_nothing_was_started_nothing_ended(site: FarEnd) -> None:
    submit(site, "#!/bin/sh\nexit 0\n")
    with site.serving() as (client, _), pytest.raises(FarError) as refused:
        client.outputs()
    assert NEVER_STARTED == refused.value.code


def test_where_nothing_was_ordered_nothing_is_known(far: FarEnd) -> None:
    """A scratch file system that is not mounted: a directory of its name is soon made."""
    with far.serving() as (client, _), pytest.raises(FarError) as refused:
        client.hello()
        client.outputs()
    assert MISSING == refused.value.code


@pytest.fixture
def dead(tmp_path: Path) -> RunDir:
    """A run whose runner died; it had begun two results."""
    run = RunDir.open(str(tmp_path), KEY, create=True)
    study = tmp_path / "runs" / KEY / "tree" / STUDY[1:]
    study.mkdir(parents=True)
    (study / "result.dat").write_text("forty hours")
    (study / ".nfs0001").write_text("removed, but open on another node")
    run.write(rundir.ORDER, order().to_json())
    run.mark_start(1)
    return run


def test_a_result_that_vanishes_while_all_are_read_takes_no_other_with_it(
    dead: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, gone = paths.open_regular, list[bytes]()

    def vanishing(root: int, parts: Sequence[bytes], flags: int = os.O_RDONLY) -> int:
        if parts[-1] == b".nfs0001" and not gone:
            gone.append(parts[-1])
            with paths.directory(root, parts[:-1]) as parent:
                os.unlink(parts[-1], dir_fd=parent)
        return opened(root, parts, flags)

    monkeypatch.setattr(paths, "open_regular", vanishing)
    end = EndRecord.unseal(postmortem.end_of(dead), SECRET, KEY)
    assert [f"{STUDY}/result.dat"] == [output.path for output in end.outputs]
    assert gone


def test_so_does_a_directory(dead: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = Path(dead.path) / "tree" / STUDY[1:] / "lost"
    lost.mkdir()
    opened = paths.open_directory

    def vanishing(root: int, parts: Sequence[bytes], create: bool = False) -> int:
        if parts and parts[-1] == b"lost" and lost.exists():
            lost.rmdir()
        return opened(root, parts, create)

    monkeypatch.setattr(paths, "open_directory", vanishing)
    end = EndRecord.unseal(postmortem.end_of(dead), SECRET, KEY)
    assert f"{STUDY}/result.dat" in [output.path for output in end.outputs]


def test_two_who_write_the_record_at_once_both_have_one(
    dead: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line was cut while its far end still read the results."""
    rename, others = os.rename, list[bytes]()

    def late(source: bytes, target: bytes, **where: int) -> None:
        monkeypatch.undo()
        others.append(postmortem.end_of(dead))
        rename(source, target, **where)

    monkeypatch.setattr(os, "rename", late)
    for record in (postmortem.end_of(dead), *others, dead.read(rundir.END)):
        EndRecord.unseal(record or b"", SECRET, KEY)
    assert others
    assert not list(Path(dead.path).glob(".new.*"))


def test_what_a_writer_that_was_killed_left_goes_some_time(dead: RunDir) -> None:
    left, fresh = (Path(dead.path) / f".new.{name}" for name in ("order.json.00", "live.json.11"))
    tree = Path(dead.path) / ".new.tree.22"
    (tree / "w").mkdir(parents=True)
    for path in (left, fresh):
        path.touch()
    for path in (left, tree):
        os.utime(path, (0, 0))
    dead.tidy()
    assert [False, True, False] == [path.exists() for path in (left, fresh, tree)]


def test_a_record_that_the_runner_writes_in_its_last_moment_counts(
    dead: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ending(run: RunDir) -> bool:
        run.write(rundir.END, b"its own")
        return False

    monkeypatch.setattr(RunDir, "busy", ending)
    assert b"its own" == postmortem.end_of(dead)


def test_an_order_that_is_lost_is_not_one_that_never_started(dead: RunDir) -> None:
    os.unlink(rundir.ORDER, dir_fd=dead.fd)
    with pytest.raises(FarError) as refused:
        postmortem.end_of(dead)
    assert BROKEN == refused.value.code


def test_a_work_directory_stays_as_long_as_a_process_of_its_job_lives(tmp_path: Path) -> None:
    code = (
        "import sys, time; from burstd.far.workplace import make_work;"
        "print(make_work(sys.argv[1]), flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        stranger = tmp_path / "burst-stranger"  # one without a lock: a step's shared place
        stranger.mkdir()
        mine = Path(make_work(str(tmp_path)))
        assert {theirs, stranger, mine} == set(tmp_path.iterdir())
        other.kill()
        other.wait()
        again = Path(make_work(str(tmp_path)))
    assert {stranger, mine, again} == set(tmp_path.iterdir())


def test_one_that_is_just_being_made_is_not_taken_for_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps begin at once: the second looks around before the first has locked what it made."""
    lock, others = fcntl.flock, list[str]()

    def late(fd: int, operation: int) -> None:
        monkeypatch.undo()
        others.append(make_work(str(tmp_path)))
        lock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    mine = make_work(str(tmp_path))
    assert {mine, *others} == set(map(str, tmp_path.iterdir()))
    for work in (mine, *others):
        assert ["alive"] == [path.name for path in Path(work).iterdir()]
    make_work(str(tmp_path))
    assert {mine, *others} < set(map(str, tmp_path.iterdir()))
