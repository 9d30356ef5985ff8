"""Pushing real files through real pipes to the built program."""

from __future__ import annotations

import functools
import os
import queue
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from burstd.agent.index import Index
from burstd.agent.push import ASKED, MADE, Push
from burstd.far.client import Client
from burstd.far.errors import FarError, FarLost
from tests.far.kit import FarEnd, order

MIB = 2**20


@pytest.fixture
def deck(tmp_path: Path) -> Path:
    """Many small files, an empty one, a large one that does not compress, one that does."""
    dice = random.Random(1)
    for number in range(700):
        path = tmp_path / "deck" / f"processor{number % 7}" / f"field{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dice.randbytes(dice.randrange(20_000)))
    (tmp_path / "deck" / "empty").touch()
    (tmp_path / "deck" / "mesh.bin").write_bytes(dice.randbytes(23 * MIB))
    (tmp_path / "deck" / "mesh.k").write_bytes(
        b"".join(b"%8d%16.6f\n" % (n, n / 7) for n in range(900_000))
    )
    return tmp_path / "deck"


def files(top: Path) -> list[Path]:
    return sorted(path for path in top.rglob("*") if path.is_file())


def same(far: FarEnd, top: Path) -> None:
    for path in files(top):
        there, here = far.file(str(path)), path
        assert here.read_bytes() == there.read_bytes(), path
        assert here.stat().st_mtime_ns == there.stat().st_mtime_ns
        assert here.stat().st_mode & 0o777 == there.stat().st_mode & 0o777


class Counted:
    """A pipe that knows what was written to it."""

    def __init__(self, pipe: object) -> None:
        self.pipe, self.bytes, self.cut = pipe, 0, 2**60

    def write(self, content: bytes) -> int:
        if self.bytes > self.cut:
            raise BrokenPipeError
        self.bytes += len(content)
        return self.pipe.write(content)  # type: ignore[attr-defined, no-any-return]

    def flush(self) -> None:
        self.pipe.flush()  # type: ignore[attr-defined]


def counted(client: Client) -> Counted:
    client._to = Counted(client._to)  # type: ignore[assignment]
    return client._to  # type: ignore[return-value]


@pytest.fixture
def whole(deck: Path) -> Iterator[int]:
    yield sum(path.stat().st_size for path in files(deck))


def test_it_arrives_as_it_is_and_the_second_time_only_names_travel(
    far: FarEnd, index: Index, deck: Path, whole: int
) -> None:
    with far.serving() as (client, _):
        client.hello()
        pipe = counted(client)
        entries = Push(client, index).send(map(str, files(deck)))
        assert [str(path) for path in files(deck)] == [entry.path for entry in entries]
        assert 30 * MIB < pipe.bytes < 0.8 * whole
    same(far, deck)
    with far.serving("b-other") as (client, _):
        client.hello()
        pipe = counted(client)
        Push(client, index).send(map(str, files(deck)))
        assert pipe.bytes < whole / 200


def test_what_changed_is_all_that_travels(far: FarEnd, index: Index, deck: Path) -> None:
    with far.serving() as (client, _):
        client.hello()
        Push(client, index).send(map(str, files(deck)))
    mesh = deck / "mesh.bin"
    content = mesh.read_bytes()
    mesh.write_bytes(content[: 9 * MIB] + b"one more line\n" + content[9 * MIB :])
    with far.serving() as (client, _):
        client.hello()
        pipe = counted(client)
        Push(client, index).send(map(str, files(deck)))
        assert pipe.bytes < 1.2 * MIB
    same(far, deck)


def test_small_files_for_another_burst_are_as_they_are_where_some_are_new(
    far: FarEnd, index: Index, deck: Path
) -> None:
    with far.serving("b-first") as (client, _):
        client.hello()
        Push(client, index).send(map(str, files(deck)))
    for number in range(0, 700, 3):
        (deck / f"processor{number % 7}" / f"field{number}").write_bytes(b"new %d\n" % number * 99)
    with far.serving() as (client, _):
        client.hello()
        Push(client, index).send(map(str, files(deck)))
    same(far, deck)


@pytest.mark.parametrize("at", [100, 300_000, 5 * MIB, 17 * MIB, 30 * MIB])
def test_after_a_cut_at_any_byte_it_goes_on(far: FarEnd, index: Index, deck: Path, at: int) -> None:
    with far.serving("b-uncut") as (client, _):
        client.hello()
        pipe = counted(client)
        Push(client, index).send(map(str, files(deck)))
        uncut = pipe.bytes
    shutil.rmtree(far.root / "stores")
    with far.serving() as (client, _):
        client.hello()
        pipe = counted(client)
        pipe.cut = at
        with pytest.raises((FarLost, BrokenPipeError)):
            Push(client, index).send(map(str, files(deck)))
        before = pipe.bytes
    with far.serving() as (client, _):
        client.hello()
        pipe = counted(client)
        Push(client, index).send(map(str, files(deck)))
        total = before + pipe.bytes
    same(far, deck)
    assert total < uncut + 9 * MIB  # what was under way, and the names once more


def test_a_file_that_disappears_meanwhile_is_an_error_of_ours(
    far: FarEnd, index: Index, deck: Path
) -> None:
    with far.serving() as (client, _):
        client.hello()
        with pytest.raises(FileNotFoundError):
            Push(client, index).send(map(str, [*files(deck), deck / "gone"]))


def test_no_room_is_told_and_what_is_there_stays(
    small_site: FarEnd, index: Index, deck: Path
) -> None:
    with small_site.serving() as (client, _):
        client.hello()
        with pytest.raises(FarError, match="full"):
            Push(client, index).send(map(str, files(deck)))


def test_a_store_without_room_of_its_own_keeps_only_what_is_incomplete(
    far: FarEnd, index: Index, deck: Path
) -> None:
    nothing = ("--store-bytes=0", "--store-days=30")
    with far.serving("b-1", *nothing) as (client, _):
        client.hello()
        Push(client, index).send(map(str, files(deck)))
    assert list(far.root.glob("stores/*/*.pack"))
    with far.serving("b-1", *nothing) as (client, _):
        client.hello()
        (deck / "more").write_bytes(b"x" * 100)
        pipe = counted(client)
        Push(client, index).send(map(str, files(deck)))
        assert pipe.bytes < MIB
        client.order(order(key="b-1"), b"#!/bin/sh\n")
    kept = list(far.root.glob("stores/*/*.pack"))
    assert 1 == len(kept)
    os.utime(kept[0].with_suffix(".idx"), (0, 0))
    with far.serving("b-2", *nothing) as (client, _):
        client.hello()
        Push(client, index).send([str(deck / "more")])
        client.order(order(key="b-2"), b"#!/bin/sh\n")
    assert [] == list(far.root.glob("stores/*/*"))


def test_what_no_burst_has_used_for_long_goes_also_where_none_comes_any_more(
    far: FarEnd, index: Index, deck: Path
) -> None:
    argv = [*far.argv("tidy")[:-2], "--store-bytes", str(2**30), "--store-days", "30"]

    def tidied() -> int:
        subprocess.run(argv, check=True, env=far.environment())
        return len(list(far.root.glob("stores/*/*.pack")))

    assert 0 == tidied()
    assert [] == list(far.root.glob("stores/*"))  # none is made for that
    with far.serving("b-1") as (client, _):
        client.hello()
        Push(client, index).send(map(str, files(deck)))
    assert 1 == tidied()
    (kept,) = far.root.glob("stores/*/*.idx")
    month_ago = kept.stat().st_mtime - 31 * 86400
    os.utime(kept, (month_ago, month_ago))
    with far.serving("b-2") as (client, _):  # as agents look at what runs: no store is opened
        client.hello()
    assert kept.exists()
    assert 0 == tidied()


@contextmanager
def late(client: Client, seconds: float) -> Iterator[None]:
    """Answers come over a long way."""
    near, coming = client._from, queue.SimpleQueue[tuple[float, bytes]]()
    out, into = os.pipe()

    def take() -> None:
        piece = b"-"
        while piece:
            piece = os.read(near.fileno(), 65536)
            coming.put((time.monotonic() + seconds, piece))

    def bring() -> None:
        with os.fdopen(into, "wb", buffering=0) as line:
            while (found := coming.get())[1]:
                time.sleep(max(0.0, found[0] - time.monotonic()))
                line.write(found[1])

    threads = [threading.Thread(target=part) for part in (take, bring)]
    for thread in threads:
        thread.start()
    with os.fdopen(out, "rb") as client._from:
        yield
        client._to.close()
        for thread in threads:
            thread.join()


def test_over_a_long_way_more_questions_are_under_way_where_packs_are_not(
    far: FarEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mesh").write_bytes(random.Random(3).randbytes(80 * MIB))
    shutil.copy(tmp_path / "mesh", tmp_path / "copy")
    most = {}
    for name in ("mesh", "copy"):
        with far.serving(f"b-{name}") as (client, _), late(client, 0.5):
            client.hello()
            own, seen = Index(tmp_path / f"index-{name}"), [0]
            pushing = Push(client, own)

            def count(
                step: int, what: Callable[..., object], *given: object, seen: list[int] = seen
            ) -> object:
                seen.append(seen[-1] + step)
                return what(*given)

            for step, method in ((1, "_ask"), (-1, "_pack")):
                found = functools.partial(count, step, getattr(pushing, method))
                monkeypatch.setattr(pushing, method, found)
            pushing.send([str(tmp_path / name)])
            own.close()
            most[name] = max(seen)
            assert not seen[-1]
    assert ASKED + 3 < most["copy"] <= ASKED + MADE + 1
    assert most["mesh"] <= most["copy"]
