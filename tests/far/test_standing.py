"""Inputs that an earlier conversation of the burst has brought: asked about, not read again."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from burstd.agent.index import Index
from burstd.agent.push import Push
from burstd.far import standing
from tests.far.kit import FarEnd
from tests.far.test_push import counted, same

PAST = 1_600_000_000


@pytest.fixture
def deck(tmp_path: Path) -> list[Path]:
    """Of files that were written long ago, as far as their inodes can say so."""
    dice, found = random.Random(1), list[Path]()
    for number in range(30):
        found.append(tmp_path / "deck" / f"field{number:02}")
        found[-1].parent.mkdir(exist_ok=True)
        found[-1].write_bytes(dice.randbytes(20_000))
        os.utime(found[-1], (PAST, PAST))
    return found


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    """One that believes in files at once."""
    monkeypatch.setattr("burstd.agent.index.SETTLED", -1.0)
    return Index(tmp_path / "index")


def push(far: FarEnd, index: Index, deck: list[Path], key: str = "b-0123abcd") -> int:
    """Bytes of a conversation that brings them."""
    with far.serving(key) as (client, _):
        pipe = counted(client)
        client.greet()
        push = Push(client, index)
        entries = push.send(map(str, deck))
        assert sum(entry.size for entry in entries) == push.going.done
        assert deck == sorted(Path(entry.path) for entry in entries)
    return pipe.bytes


@pytest.fixture
def asked(far: FarEnd, index: Index, deck: list[Path]) -> int:
    """Bytes of a conversation that finds them all there."""
    push(far, index, deck)
    assert not remembered(far)
    time.sleep(standing.SETTLED_NS / 1e9 + 0.1)
    push(far, index, deck)
    assert len(deck) == remembered(far)
    return push(far, index, deck)


def remembered(far: FarEnd) -> int:
    (made,) = far.run_dir.glob("built.*")
    return made.read_text().count("/field")


def test_a_question_by_digests_is_shorter_than_by_chunks(
    far: FarEnd, index: Index, deck: list[Path], asked: int
) -> None:
    assert asked < push(far, index, deck, "b-other")
    same(far, deck[0].parent)


def _written(path: Path) -> None:
    fact = path.stat()
    with path.open("r+b") as file:
        file.write(b"other")
    os.utime(path, ns=(fact.st_atime_ns, fact.st_mtime_ns))


def _removed(path: Path) -> None:
    path.unlink()


def _replaced(path: Path) -> None:
    fact, content = path.stat(), path.read_bytes()
    path.unlink()
    path.write_bytes(bytes(len(content)))
    path.chmod(fact.st_mode & 0o777)
    os.utime(path, ns=(fact.st_atime_ns, fact.st_mtime_ns))


def _linked(path: Path) -> None:
    path.rename(path.with_suffix(".aside"))
    path.symlink_to(path.with_suffix(".aside"))


def _barred(path: Path) -> None:
    path.chmod(0o400)


def _a_directory(path: Path) -> None:
    above = path.parent
    above.rename(above.with_suffix(".aside"))


@pytest.mark.parametrize("change", [_written, _removed, _replaced, _linked, _barred, _a_directory])
def test_whatever_became_of_one_it_is_right_in_the_end(
    far: FarEnd, index: Index, deck: list[Path], asked: int, change: Callable[[Path], None]
) -> None:
    change(far.file(str(deck[7])))
    assert push(far, index, deck) > asked
    same(far, deck[0].parent)
    assert not far.file(str(deck[7])).is_symlink()


def test_inputs_that_have_changed_here_are_sent(
    far: FarEnd, index: Index, deck: list[Path], asked: int
) -> None:
    deck[3].write_bytes(os.urandom(20_000))
    deck[4].chmod(0o600)
    assert 20_000 < push(far, index, deck) < 30_000
    same(far, deck[0].parent)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"/a": 1}', b"\xff"])
def test_what_is_remembered_may_be_damaged(
    far: FarEnd, index: Index, deck: list[Path], asked: int, content: bytes
) -> None:
    (made,) = far.run_dir.glob("built.*")
    made.write_bytes(content)
    assert push(far, index, deck) > asked
    same(far, deck[0].parent)
    assert len(deck) == remembered(far)


def test_two_conversations_at_once_both_remember(
    far: FarEnd, index: Index, deck: list[Path], asked: int
) -> None:
    for made in far.run_dir.glob("built.*"):
        made.unlink()
    with far.serving() as (one, _), far.serving() as (other, _):
        for client, pile in ((one, deck[:10]), (other, deck[10:])):
            client.greet()
            Push(client, index).send(map(str, pile))
    assert 2 == len(list(far.run_dir.glob("built.*")))
    assert asked == push(far, index, deck)
