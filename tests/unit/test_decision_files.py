"""The files that decisions are kept in: whatever is done to one, the rest of it is read."""

from __future__ import annotations

import errno
import gzip
import io
import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from burstd.adapters import decisions as adapter
from burstd.adapters.decisions import FileDecisions, days, read
from burstd.adapters.frames import frame, frames
from burstd.core import chronicle
from burstd.core.chronicle import in_queue_order
from burstd.core.decide import decide
from burstd.domain.decision import Decision
from burstd.domain.policy import Ledger
from burstd.ports.errors import Mismatch, NoRoom, Transient
from tests.unit.values import NOW, POLICY, queued, snapshot

DAY = timedelta(days=1)
EVER = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
TEXTS = [f"{n} " + "some text, again and again; " * n for n in range(6)]


def found_in(content: bytes) -> tuple[list[str], list[str]]:
    lost: list[str] = []
    return list(frames(io.BytesIO(content), lost.append)), lost


# --- frames


def test_any_gzip_reads_them_too() -> None:
    content = b"".join(map(frame, TEXTS))
    assert (TEXTS, []) == found_in(content)
    assert "".join(TEXTS) == gzip.decompress(content).decode()
    assert ([], []) == found_in(b"")


def test_a_frame_that_is_cut_at_any_byte_costs_itself_alone() -> None:
    whole, torn = b"".join(map(frame, TEXTS[:2])), frame(TEXTS[5])
    after = b"".join(map(frame, TEXTS[3:5]))
    for cut in range(1, len(torn)):
        assert (TEXTS[:2], 1) == _counted(whole + torn[:cut]), cut
        assert (TEXTS[:2] + TEXTS[3:5], 1) == _counted(whole + torn[:cut] + after), cut


def test_any_byte_that_is_changed_costs_its_frame_alone() -> None:
    parts = list(map(frame, TEXTS[:4]))
    content = b"".join(parts)
    first = len(parts[0])
    for at in range(first, first + len(parts[1])):
        changed = content[:at] + bytes([content[at] ^ 0x41]) + content[at + 1 :]
        found, lost = found_in(changed)
        if at - first in _UNREAD:
            assert (TEXTS[:4], []) == (found, lost)
        else:
            assert (TEXTS[:1] + TEXTS[2:4], 1) == (found, len(lost)), at - first


_UNREAD = range(4, 10)  #: of a header: time, flags and system


def test_a_hole_that_a_power_cut_left_is_passed_over_and_told() -> None:
    before, after = frame(TEXTS[1]), frame(TEXTS[2])
    found, lost = found_in(before + bytes(5000) + after)
    assert TEXTS[1:3] == found
    assert [f"bytes {len(before)} to {len(before) + 5000} are not whole"] == lost


def test_a_beginning_across_two_reads_is_found() -> None:
    for size in range((1 << 20) - 3, (1 << 20) + 3):
        assert ([TEXTS[1]], 1) == _counted(bytes(size) + frame(TEXTS[1]))


def _counted(content: bytes) -> tuple[list[str], int]:
    found, lost = found_in(content)
    return found, len(lost)


# --- days


def decision(at: datetime = NOW, jobs: int = 2) -> Decision:
    seen = snapshot(*(queued(n) for n in range(1, jobs + 1)))
    seen = replace(seen, queue=replace(seen.queue, taken_at=at))
    plan = decide(seen, POLICY, Ledger())
    return Decision(seen, POLICY, Ledger(), in_queue_order(plan, seen))


def kept_in(directory: Path) -> list[Decision]:
    lost: list[str] = []
    found = [k.decision() for k in read([path for _, path in days(directory)], lost.append)]
    assert [] == lost
    return found


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "decisions"


def files(directory: Path, keep_for: timedelta = 30 * DAY) -> FileDecisions:
    """burstd comes up."""
    return FileDecisions(directory, keep_for, "1")


def heads(path: Path) -> list[dict[str, Any]]:
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    return [json.loads(line) for line in lines[::3]]


def test_each_day_has_a_file_of_its_own_that_says_everything_once(directory: Path) -> None:
    store = files(directory)
    midnight = NOW.replace(hour=23, minute=59, second=50)
    made = [decision(midnight + timedelta(seconds=5 * n), jobs=n) for n in range(5)]
    for one in made:
        store.keep(one)

    assert ["2030-01-15.jsonl.gz", "2030-01-16.jsonl.gz"] == sorted(map(_name, directory.iterdir()))
    assert made == kept_in(directory)
    for _, path in days(directory):
        assert [True] == [head["after"] is None for head in heads(path)][:1]
        assert 1 == sum(head["after"] is None for head in heads(path))
        assert 0o600 == path.stat().st_mode & 0o777
    assert 0o700 == directory.stat().st_mode & 0o777


def _name(path: Path) -> str:
    return path.name


def test_after_a_restart_the_file_goes_on_with_one_that_says_everything(directory: Path) -> None:
    made = [decision(NOW + timedelta(seconds=n), jobs=n) for n in range(4)]
    for one in made[:2]:
        files(directory).keep(one)
    store = files(directory)
    for one in made[2:]:
        store.keep(one)

    ((_, path),) = days(directory)
    assert [True, True, True, False] == [head["after"] is None for head in heads(path)]
    assert made == kept_in(directory)


def test_a_daemon_that_is_killed_in_the_middle_of_a_word_costs_that_one(directory: Path) -> None:
    store = files(directory)
    made = [decision(NOW + timedelta(seconds=n), jobs=n) for n in range(5)]
    store.keep(made[0])
    ((_, path),) = days(directory)
    before = path.stat().st_size
    store.keep(made[1])
    content = path.read_bytes()
    for cut in range(before + 1, len(content), 11):
        path.write_bytes(content[:cut])
        again = files(directory)
        again.keep(made[2])
        again.keep(made[3])
        lost: list[str] = []
        found = [kept.decision() for kept in read([path], lost.append)]
        assert ([made[0], made[2], made[3]], 1) == (found, len(lost)), cut


def test_what_continues_a_lost_one_is_counted_and_not_read(directory: Path) -> None:
    store = files(directory)
    ((_, path),) = [*_sizes(store, directory, 4)]
    content = path.read_bytes()
    second = content.index(b"\x1f\x8b\x08\x04", 1)
    path.write_bytes(content[: second + 30] + b"\0" + content[second + 31 :])
    lost: list[str] = []

    assert 1 == len([*read([path], lost.append)])
    assert f"{path}: 2 decisions continue one that is lost" == lost[-1]


def _sizes(store: FileDecisions, directory: Path, count: int) -> Iterator[tuple[Any, Path]]:
    for n in range(count):
        store.keep(decision(NOW + timedelta(seconds=n), jobs=n))
    yield from days(directory)


def test_they_are_kept_as_long_as_is_said_and_go_at_the_turn_of_the_day(directory: Path) -> None:
    store = files(directory, 2 * DAY)
    for n in range(5):
        store.keep(decision(NOW + n * DAY))
    (directory / "notes.jsonl.gz").touch()
    store.keep(decision(NOW + 5 * DAY))

    assert [NOW.date() + n * DAY for n in (3, 4, 5)] == [day for day, _ in days(directory)]
    assert (directory / "notes.jsonl.gz").exists()


def test_none_are_kept_where_that_is_said_and_those_that_were_go(directory: Path) -> None:
    files(directory).keep(decision())
    files(directory, timedelta()).keep(decision(NOW + timedelta(seconds=1)))
    assert [] == [*directory.iterdir()]
    assert [] == [*files(directory).outlines(*EVER, _fail)]


def _fail(what: str) -> None:
    raise AssertionError(what)


def test_the_last_one_until_a_moment_is_read_with_all_that_it_was_made_from(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chronicle, "SHORT", 0)  # chains of a few entries, three days of them
    store = files(directory)
    made = [decision(NOW + n * timedelta(hours=2), jobs=1 + n % 4) for n in range(30)]
    for one in made:
        store.keep(one)
    begun = [head["after"] is None for _, path in days(directory) for head in heads(path)]
    assert len(days(directory)) + 2 < sum(begun) < len(made) - 4

    for before, one in itertools.pairwise(made):
        assert before == store.last(one.at - timedelta(seconds=1), _fail)
        assert one == store.last(one.at, _fail)
    assert made[-1] == store.last(made[-1].at + timedelta(hours=20), _fail)
    assert None is store.last(NOW - timedelta(seconds=1), _fail)
    assert None is store.last(made[-1].at + 3 * DAY, _fail)


def test_a_span_of_time_is_read_by_outline_and_by_plan(directory: Path) -> None:
    store = files(directory)
    made = [decision(NOW + n * timedelta(hours=9), jobs=n) for n in range(6)]
    for one in made:
        store.keep(one)
    span = made[1].at, made[4].at

    assert [one.at for one in made[1:4]] == [o.at for o in store.outlines(*span, _fail)]
    assert [one.plan for one in made[1:4]] == [k.plan() for k in store.kept(*span, _fail)]
    assert [one.at for one in made] == [k.outline.at for k in store.kept(*EVER, _fail)]


# --- disks


class Disk:
    """``os``, whose ``write`` has so much room."""

    def __init__(self, room: int) -> None:
        self.room = room

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, file: int, content: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = os.write(file, content[: self.room])
        self.room -= written
        return written


@pytest.mark.parametrize("room", [0, 1, 17, 100])
def test_a_full_disk_leaves_no_half_and_the_next_begins_anew(
    directory: Path, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = files(directory)
    made = [decision(NOW + timedelta(seconds=n), jobs=n) for n in range(4)]
    store.keep(made[0])
    ((_, path),) = days(directory)
    size = path.stat().st_size
    monkeypatch.setattr(adapter, "os", Disk(room))
    with pytest.raises(NoRoom, match="No space left"):
        store.keep(made[1])
    monkeypatch.undo()

    assert size == path.stat().st_size
    store.keep(made[2])
    store.keep(made[3])
    assert [made[0], *made[2:]] == kept_in(directory)
    assert [True, True, False] == [head["after"] is None for head in heads(path)]


def test_the_last_of_a_disk_is_left_to_the_ledger(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=64 << 20))
    monkeypatch.setattr(adapter, "shutil", few)
    with pytest.raises(NoRoom, match="left to the ledger"):
        files(directory).keep(decision())
    assert [] == days(directory)


def test_a_value_without_words_is_a_fault_that_is_told_and_the_next_begins_anew(
    directory: Path,
) -> None:
    store, odd = files(directory), decision()
    store.keep(decision())
    wrong: Any = {"mode": "auto"}
    with pytest.raises(Mismatch, match="has no words"):
        store.keep(replace(odd, policy=replace(POLICY, **wrong)))
    store.keep(decision(NOW + timedelta(seconds=1)))
    assert 2 == len(kept_in(directory))


def test_files_that_cannot_be_read_are_told_in_words(directory: Path) -> None:
    store = files(directory)
    store.keep(decision())
    ((_, path),) = days(directory)
    text = gzip.decompress(path.read_bytes()).decode()
    path.write_bytes(frame(text.replace('"format":1', '"format":2')))
    for found in (store.outlines(*EVER, _fail), store.kept(*EVER, _fail)):
        with pytest.raises(Mismatch, match=rf"{path}: its form is 2"):
            next(found)
    path.write_bytes(frame(text.replace("PENDING", "PENDENT")))
    with pytest.raises(Mismatch, match="PENDENT"):
        next(read([path], _fail)).decision()
    path.unlink()
    path.mkdir()
    with pytest.raises(Transient, match="Is a directory"):
        next(store.outlines(*EVER, _fail))
    path.rmdir()
    assert [] == [*read([path], _fail)]  # it became too old meanwhile
