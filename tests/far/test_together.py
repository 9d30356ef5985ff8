"""Jobs of a study are forwarded together: what they have in common travels once, whoever is first,
and whoever is killed on the way."""

from __future__ import annotations

import random
import resource
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from burstd.agent.index import Index
from burstd.agent.push import Push
from burstd.agent.reading import batches
from burstd.domain.data import InputFile
from burstd.far.client import Client, missing
from burstd.far.errors import FarError
from tests.far.kit import FarEnd, order
from tests.far.test_push import MIB, counted, files, same

COMMON = 6 * MIB


@pytest.fixture
def study(tmp_path: Path) -> list[Path]:
    """Jobs with a mesh in common, behind a header of each one's own, some includes and a little
    of their own."""
    dice = random.Random(7)
    mesh, includes = dice.randbytes(COMMON - MIB), [dice.randbytes(100_000) for _ in range(10)]
    jobs = [tmp_path / f"job{number}" for number in range(4)]
    for number, job in enumerate(jobs):
        job.mkdir()
        (job / "mesh.k").write_bytes(b"$ variant\n" * (number + 1) + mesh)
        for at, content in enumerate(includes):
            (job / f"part{at}.k").write_bytes(content)
        (job / "own").write_bytes(dice.randbytes(50_000))
    return jobs


def push(client: Client, index: Path, job: Path) -> int:
    """How many bytes it took."""
    pipe, known = counted(client), Index(index)
    client.hello()
    try:
        push = Push(client, known)
        entries = push.send(map(str, files(job)))
    finally:
        known.close()
    assert (sum(entry.size for entry in entries), 0) == (push.going.done, push.going.waiting)
    assert [str(path) for path in files(job)] == [entry.path for entry in entries]
    return pipe.bytes


def there(far: FarEnd, number: int, job: Path) -> None:
    """A tree that is as it should be."""
    runs = far.root / "runs" / f"b-{number}" / "tree"
    for path in files(job):
        found = Path(f"{runs}{path}")
        assert path.read_bytes() == found.read_bytes(), path
        assert path.stat().st_mtime_ns == found.stat().st_mtime_ns


def claim(client: Client, job: Path, index: Path) -> list[tuple[bytes, bytes]]:
    """Asks for all chunks of a job's files, and brings none. Returns them."""
    known = Index(index)
    found = [c for batch in batches(map(str, files(job)), known) for c in batch.chunks]
    known.close()
    client.hello()
    bits = client.want([(chunk.name, chunk.size) for chunk in found]).result()[1]
    assert list(range(len(found))) == missing(bits, len(found))
    return [(chunk.name, bytes(chunk.content or b"")) for chunk in found]


def send(client: Client, found: Sequence[tuple[bytes, bytes]], until: int) -> None:
    for at in range(0, until, 20):
        piece = found[at : min(at + 20, until)]
        client.chunks([(at, len(piece))], b"".join(c for _, c in piece), None).result()


def test_all_at_once_bring_what_they_share_once(
    far: FarEnd, study: list[Path], tmp_path: Path
) -> None:
    begin = threading.Barrier(len(study))

    def one(number: int) -> int:
        with far.serving(f"b-{number}") as (client, _):
            client.hello()
            begin.wait()
            return push(client, tmp_path / f"index{number}", study[number])

    with ThreadPoolExecutor(len(study)) as threads:
        taken = sum(threads.map(one, range(len(study))))
    for number, job in enumerate(study):
        there(far, number, job)
    assert COMMON < taken < 1.15 * COMMON + len(study) * 100_000
    assert ["lock"] == [path.name for path in far.root.glob("stores/*/claims.*/*")]


@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("killed", [False, True])
def test_what_somebody_was_to_bring_is_waited_for_until_he_has_ended(
    far: FarEnd, study: list[Path], tmp_path: Path, share: float, killed: bool
) -> None:
    with far.serving("b-0") as (first, program), ThreadPoolExecutor(1) as thread:
        found = claim(first, study[0], tmp_path / "index0")
        with far.serving("b-1") as (second, _):
            second.hello()
            pushing = thread.submit(push, second, tmp_path / "index1", study[1])
            send(first, found, int(share * len(found)))
            assert not pushing.done()
            if killed:
                program.kill()
                program.wait()
            else:
                first._to.close()
            taken = pushing.result(timeout=60)
    there(far, 1, study[1])
    assert abs(taken - (1 - share) * COMMON) < 0.1 * COMMON + 200_000


def test_nothing_is_ordered_while_files_wait(
    far: FarEnd, study: list[Path], tmp_path: Path
) -> None:
    with waiting(far, study, tmp_path) as second:
        assert second.push._waiting
        with pytest.raises(FarError, match="refused: 11 files wait for what others bring"):
            second.push.client.order(order(key="b-1"), b"")


def test_how_many_files_wait_is_known_meanwhile(
    far: FarEnd, study: list[Path], tmp_path: Path
) -> None:
    with waiting(far, study, tmp_path) as second, ThreadPoolExecutor(1) as thread:
        resting = thread.submit(second.push._rest, second.entries)
        end = time.monotonic() + 60
        while second.push.going.waiting != 11 and time.monotonic() < end:
            time.sleep(0.05)
        assert (11, False) == (second.push.going.waiting, resting.done())
        second.brought()
        resting.result(timeout=60)
        assert 0 == second.push.going.waiting


def test_a_far_end_that_asks_for_other_files_gets_none(
    far: FarEnd, study: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with far.serving("b-0") as (first, _), far.serving("b-1") as (second, _):
        claim(first, study[0], tmp_path / "index0")
        second.hello()
        monkeypatch.setattr(second, "rest", lambda: (0, ["/etc/passwd"]))
        with pytest.raises(FarError, match="asks for files that it was not offered"):
            push(second, tmp_path / "index1", study[1])


class Waiting(NamedTuple):
    """The second job's files wait for what the first one's conversation was told to bring."""

    push: Push
    entries: list[InputFile]
    first: Client
    found: list[tuple[bytes, bytes]]

    def brought(self) -> None:
        """All of it, and that conversation ends."""
        send(self.first, self.found, len(self.found))
        self.first._to.close()


@contextmanager
def waiting(far: FarEnd, study: list[Path], place: Path, sent: int = 0) -> Iterator[Waiting]:
    """``sent``: chunks that have come by then."""
    with far.serving("b-0") as (first, _), far.serving("b-1") as (second, _):
        found = claim(first, study[0], place / "index0")
        send(first, found, sent)
        second.hello()
        index = Index(place / "index1")
        push = Push(second, index)
        yield Waiting(push, push._send(map(str, files(study[1]))), first, found)
        index.close()


def test_a_file_that_waits_and_is_begun_anew_is_as_it_is_then(
    far: FarEnd, study: list[Path], tmp_path: Path
) -> None:
    """It changes while others bring what it was."""
    with waiting(far, study, tmp_path) as second:
        (study[1] / "part3.k").write_bytes(b"other\n" * 5000)
        (study[1] / "mesh.k").write_bytes(random.Random(9).randbytes(200_000))
        second.push._numbers.clear()
        second.push._send(map(str, [study[1] / "mesh.k", study[1] / "part3.k"]))
        second.brought()
        second.push._rest(second.entries)
    there(far, 1, study[1])


def test_a_file_of_which_a_later_part_waits_is_whole(
    far: FarEnd, study: list[Path], tmp_path: Path
) -> None:
    mesh = (study[0] / "mesh.k").read_bytes()
    (study[1] / "late").write_bytes(random.Random(8).randbytes(5 * MIB) + mesh)
    with waiting(far, study, tmp_path) as second:
        second.brought()
        second.push._rest(second.entries)
    there(far, 1, study[1])


def test_after_a_cut_nobody_waits_for_what_hangs(
    far: FarEnd, study: list[Path], tmp_path: Path
) -> None:
    """All come again, while what they had begun hangs: what one was to bring it brings now."""
    with waiting(far, study, tmp_path, sent=40), ThreadPoolExecutor(2) as threads:
        begun = [threads.submit(again, far, n, study[n], tmp_path) for n in (1, 0)]
        for one in begun:
            one.result(timeout=60)
    for number in (0, 1):
        there(far, number, study[number])


def again(far: FarEnd, number: int, job: Path, indexes: Path) -> None:
    with far.serving(f"b-{number}") as (client, _):
        client.greet(first=True)
        push(client, indexes / f"again{number}", job)


def test_who_has_a_burst_of_the_same_key_begin_anew_is_not_held_up(
    far: FarEnd, study: list[Path], tmp_path: Path
) -> None:
    with far.serving() as (first, _):
        claim(first, study[0], tmp_path / "index0")
        with far.serving() as (second, _):
            second.hello()
            assert COMMON < push(second, tmp_path / "index1", study[0])
    same(far, study[0])


def test_chunks_may_lie_in_more_packs_than_a_process_may_hold_open(
    far: FarEnd, index: Index, tmp_path: Path
) -> None:
    """Many conversations at once leave many packs."""
    mesh = tmp_path / "deck" / "mesh"
    mesh.parent.mkdir()
    mesh.write_bytes(random.Random(4).randbytes(2 * MIB))
    found = [chunk for batch in batches([str(mesh)], index) for chunk in batch.chunks]
    for number, chunk in enumerate(found):
        with far.serving(f"b-other{number}") as (client, _):
            client.hello()
            client.want([(chunk.name, chunk.size)])
            client.chunks([(0, 1)], bytes(chunk.content or b""), None).result()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(found), hard))
    try:
        with far.serving() as (client, _):
            assert push(client, tmp_path / "again", mesh.parent) < MIB
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    same(far, mesh.parent)
    assert len(found) == len(list(far.root.glob("stores/*/*.pack"))) > 50
