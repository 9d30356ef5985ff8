"""A run's tree is who began last's, and what is ordered is in it and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from burstd.far.client import Client
from burstd.far.endrecord import FAILED_TO_START
from burstd.far.errors import BUSY, MISMATCH, FarError
from burstd.far.order import InputFile
from burstd.far.parts import Part
from tests.far.kit import FarEnd, entry, finish, order, put, submit

STUDY = "/home/alice/study"
MESH = entry(f"{STUDY}/mesh.k", b"m" * 300_000)


@pytest.fixture
def talk(far: FarEnd) -> Iterator[Callable[..., Client]]:
    """Each call is one more conversation, an agent's first or not."""
    with ExitStack() as stack:

        def one(first: bool = True) -> Client:
            client, _ = stack.enter_context(far.serving())
            client.greet(first)
            assert not client.status().started
            return client

        yield one


Talk = Callable[..., Client]


def code(work: Callable[[], object]) -> str:
    with pytest.raises(FarError) as refused:
        work()
    return refused.value.code


def test_a_conversation_that_hung_touches_nothing_once_an_agent_has_begun_anew(
    far: FarEnd, talk: Talk
) -> None:
    hung = talk()
    put(hung, MESH, b"m" * 300_000)
    later = talk()
    put(later, MESH, b"m" * 300_000)
    later.order(order(inputs=(MESH,)), b"")
    hung.hello()  # it says so now and then
    for work in (
        lambda: hung.build([Part(MESH.path, 0, [(0, 1)], None)]).result(),
        lambda: hung.build([Part(f"{STUDY}/other", 0, [(0, 1)], None)]).result(),
        lambda: hung.mkdir(f"{STUDY}/d", 0o700).result(),
        lambda: hung.clone([[f"{STUDY}/c", "00" * 32, 1, 1, 0o600]]).result(),
        lambda: hung.order(order(), b""),
        lambda: hung.hello(clones=True),
    ):
        assert BUSY == code(work)
    assert 300_000 == far.file(MESH.path).stat().st_size
    assert [far.file(MESH.path)] == list(far.file(STUDY).iterdir())


def test_other_lines_of_an_agent_build_beside_its_first(far: FarEnd, talk: Talk) -> None:
    first = talk()
    other = talk(first=False)
    put(first, one := entry(f"{STUDY}/one", b"1"), b"1")
    put(other, two := entry(f"{STUDY}/two", b"2"), b"2")
    first.order(order(inputs=(one, two)), b"")
    anew = talk()
    assert BUSY == code(lambda: put(other, one, b"1"))
    put(anew, one, b"1")


def test_looks_of_an_agent_do_not_disturb_what_was_ordered(site: FarEnd) -> None:
    submit(site, "#!/bin/sh\ncat beam\n", {f"{STUDY}/beam": b"right"})
    with site.serving() as (client, _):
        client.greet(first=True)
        assert not client.status().started
    assert 0 == finish(site.run())[0]
    assert "right" == site.output()


def test_what_an_earlier_try_has_left_is_not_seen_by_the_job(far: FarEnd, talk: Talk) -> None:
    before, deck = talk(), entry(f"{STUDY}/deck.k", b"deck")
    for path in ("deck.k", "restart.bin", "0.5/U", "0.5/deep/p", "kept/old", "system"):
        put(before, entry(f"{STUDY}/{path}", b"old"), b"old")
    before.mkdir(f"{STUDY}/0.7", 0o755).result()
    far.file(f"{STUDY}/link").symlink_to("/etc")

    now = talk()
    put(now, deck, b"deck")
    put(now, entry(f"{STUDY}/system/dict", b"d"), b"d")  # it was a file
    put(now, entry(f"{STUDY}/0.5", b"f"), b"f")  # it was a directory
    now.mkdir(f"{STUDY}/kept", 0o755).result()
    now.mkdir(f"{STUDY}/new/empty", 0o755).result()
    given = (deck, entry(f"{STUDY}/system/dict", b"d"), entry(f"{STUDY}/0.5", b"f"))
    now.order(order(inputs=given), b"")
    found = sorted(str(path.relative_to(far.file(STUDY))) for path in far.file(STUDY).rglob("*"))
    assert ["0.5", "deck.k", "kept", "new", "new/empty", "system", "system/dict"] == found


def _removed(path: Path) -> None:
    path.unlink()


def _shorter(path: Path) -> None:
    fact = path.stat()
    path.write_bytes(b"m")
    os.utime(path, ns=(fact.st_atime_ns, fact.st_mtime_ns))


def _written(path: Path) -> None:
    path.write_bytes(b"n" * 300_000)


def _linked(path: Path) -> None:
    path.rename(path.with_suffix(".aside"))
    path.symlink_to(path.with_suffix(".aside"))


def _a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


CHANGES = [_removed, _shorter, _written, _linked, _a_directory]


@pytest.mark.parametrize("change", CHANGES)
def test_an_input_that_is_not_as_it_was_sent_is_sent_again(
    far: FarEnd, talk: Talk, change: Callable[[Path], None]
) -> None:
    first = talk()
    put(first, MESH, b"m" * 300_000)
    change(far.file(MESH.path))
    assert MISMATCH == code(lambda: first.order(order(inputs=(MESH,)), b""))
    assert not (far.run_dir / "order.json").exists()
    again = talk()
    put(again, MESH, b"m" * 300_000)
    again.order(order(inputs=(MESH,)), b"")
    assert b"m" * 300_000 == far.file(MESH.path).read_bytes()


@pytest.mark.parametrize("change", [{"mode": 0o600}, {"mtime_ns": 10**18}, {"mtime_ns": -(10**9)}])
def test_of_one_with_another_time_or_mode_the_content_counts(
    far: FarEnd, talk: Talk, change: dict[str, int]
) -> None:
    client = talk()
    put(client, MESH, b"m" * 300_000)
    told: InputFile = replace(MESH, **change)  # type: ignore[arg-type]
    client.order(order(inputs=(told,)), b"")
    fact = far.file(MESH.path).stat()
    assert (told.mtime_ns, told.mode) == (fact.st_mtime_ns, fact.st_mode & 0o777)


@pytest.mark.parametrize("change", CHANGES)
def test_a_job_does_not_run_on_other_inputs_than_its_own(
    site: FarEnd, change: Callable[[Path], None]
) -> None:
    submit(site, "#!/bin/sh\necho ran\n", {MESH.path: b"m" * 300_000})
    change(site.file(MESH.path))
    runner = site.run()
    finish(runner)
    end = site.end()
    assert FAILED_TO_START == end.reason
    assert "1 inputs are not there as they were sent" in end.message
    assert end.stdout is None
