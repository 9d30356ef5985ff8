"""Several bursts of one user at one store, in any order, with kills and sweeps between: what one
was told is there, is there for it."""

from __future__ import annotations

import os
import random
from pathlib import Path

import blake3
import pytest

from burstd.far.store import _IN_USE, Store
from tests.unit.stored import taken

CHUNKS = [random.Random(n).randbytes(500 + 700 * n) for n in range(12)]
NAMES = [blake3.blake3(content).digest() for content in CHUNKS]


class Talk:
    """One conversation: its store, and when it was last promised a chunk, in the story's time."""

    def __init__(self, root: Path, burst: int) -> None:
        self.store = Store.at(str(root), f"b{burst}")
        self.promised: dict[int, int] = {}

    def kill(self) -> None:
        """No index, no sync; the kernel closes what it held."""
        store = self.store
        held = [*store._open.values(), store._directory]
        if store._writer is not None:
            held.append(store._writer._fd)
        for fd in held:
            os.close(fd)


class Story:
    """``clock``: seconds; time passes by making every file older."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.dice = root, random.Random(seed)
        self.talks: list[Talk] = []
        self.clock = 0

    def step(self) -> None:
        """Whatever may happen next."""
        acts = (self.begin, self.push, self.push, self.push, self.end, self.die, self.wait)
        rare = self.crash if self.dice.random() < 0.2 else self.build
        self.dice.choice((*acts, self.build, rare))()

    def begin(self) -> None:
        if len(self.talks) < 4:
            self.talks.append(Talk(self.root, self.dice.randint(1, 3)))

    def _one(self) -> Talk:
        if not self.talks:
            self.begin()
        return self.dice.choice(self.talks)

    def push(self) -> None:
        """Ask, send what is missing."""
        talk, chosen = self._one(), self.dice.sample(range(len(CHUNKS)), self.dice.randint(0, 5))
        talk.store.look(b"".join(NAMES[n] for n in chosen), 32)
        lacking = [n for n in chosen if not talk.store.has(NAMES[n])]
        talk.store.add([(NAMES[n], CHUNKS[n]) for n in lacking])
        talk.promised |= dict.fromkeys(chosen, self.clock)

    def build(self) -> None:
        """What it was promised is there. What has been read once stays open: so it is not each time
        that this is looked at."""
        talk = self._one()
        for n, at in talk.promised.items():
            if self.clock - at < _IN_USE - 60:
                assert CHUNKS[n] == taken(talk.store, NAMES[n])

    def end(self) -> None:
        """As a conversation ends: it settles, and sweeps."""
        talk = self._one()
        self.talks.remove(talk)
        talk.store.settle()
        talk.store.sweep(self.dice.choice((0, 5000, 10**9)), 30)
        talk.store.close()

    def die(self) -> None:
        talk = self._one()
        self.talks.remove(talk)
        talk.kill()

    def crash(self) -> None:
        """The machine: what nobody had synced is not whole."""
        for talk in self.talks:
            talk.kill()
        self.talks.clear()
        for pack in self.root.glob("stores/*/*.pack"):
            if not pack.with_suffix(".idx").exists():
                os.truncate(pack, max(0, pack.stat().st_size - self.dice.randint(0, 600)))

    def wait(self) -> None:
        seconds = self.dice.choice((60, 1700, 1700, 40 * 86400))
        self.clock += seconds
        for path in self.root.glob("stores/*/*"):
            seen = path.stat()
            os.utime(path, (seen.st_atime, seen.st_mtime - seconds))

    def look(self) -> None:
        """A newcomer is told nothing that is false; unlike has(), this does not count as use."""
        newcomer = Store.at(str(self.root), "b9")
        newcomer.look(b"".join(NAMES), 32)
        for name, content in zip(NAMES, CHUNKS, strict=True):
            if newcomer._places.near(name) is not None:
                assert content == taken(newcomer, name)
        newcomer.close()

    def close(self) -> None:
        """The end of all of them."""
        for talk in self.talks:
            talk.kill()


def test_what_a_burst_was_told_is_there_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("burstd.far.store._LOOSE", 2)
    for seed in range(150):
        for name, size in (("FRESH", (2, 5, 2**15)[seed % 3]), ("GROUPS", 2 + seed % 2)):
            monkeypatch.setattr(f"burstd.far.places.{name}", size)
        story = Story(tmp_path / str(seed), seed)
        monkeypatch.setattr(
            "burstd.far.store.time.monotonic", lambda clock=story: float(clock.clock)
        )
        for _ in range(60):
            story.step()
            if story.dice.random() < 0.2:
                story.look()
        story.close()


def test_a_pack_that_is_used_on_is_marked_again_and_one_that_is_gone_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story(tmp_path, 0)
    monkeypatch.setattr("burstd.far.store.time.monotonic", lambda: float(story.clock))
    monkeypatch.setattr(story.dice, "choice", lambda _spans: 3500)
    first = Talk(tmp_path, 1)
    first.store.add([(NAMES[1], CHUNKS[1])])
    first.store.settle()
    user = Talk(tmp_path, 2)
    for _ in range(4):
        assert user.store.has(NAMES[1])
        story.wait()
        first.store.sweep(0, 30)
    assert CHUNKS[1] == taken(user.store, NAMES[1])

    user.store.add([(NAMES[2], CHUNKS[2])])
    story.wait()
    story.wait()
    first.store.sweep(0, 30)
    user.store.add([(NAMES[3], CHUNKS[3])])
    assert not user.store.has(NAMES[2])
    assert CHUNKS[3] == taken(user.store, NAMES[3])
    for talk in (first, user):
        talk.store.close()
    newcomer = Talk(tmp_path, 3)
    assert [False, False, True] == [newcomer.store.has(NAMES[n]) for n in (1, 2, 3)]
    newcomer.store.close()


def test_many_packs_are_found_by_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("burstd.far.store._LOOSE", 4)
    for n in range(10):
        store = Store.at(str(tmp_path), f"b{n}")
        store.add([(NAMES[n], CHUNKS[n])])
        store.close()
    (table,) = tmp_path.glob("stores/*/all.table")
    newcomer = Store.at(str(tmp_path), "b")
    assert 8 == len(newcomer._table)
    assert [n < 10 for n in range(12)] == [newcomer.has(name) for name in NAMES]
    assert CHUNKS[:10] == [taken(newcomer, name) for name in NAMES[:10]]
    newcomer.close()

    (pack,) = tmp_path.glob("stores/*/b3.*.pack")
    pack.unlink()
    content = bytearray(table.read_bytes())
    for damaged in (False, True):
        if damaged:
            content[100] ^= 1
            table.write_bytes(content)
        later = Store.at(str(tmp_path), "b")
        assert (0 if damaged else 8) == len(later._table)
        assert [n < 10 and n != 3 for n in range(12)] == [later.has(name) for name in NAMES]
        later.close()  # of the damaged one another is made
    last = Store.at(str(tmp_path), "b")
    assert (9, None) == (len(last._table), last._places.near(NAMES[0]))
    last.close()


def test_a_pack_of_the_table_that_is_gone_goes_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("burstd.far.store._LOOSE", 3)
    for n in range(6):
        store = Store.at(str(tmp_path), f"b{n}")
        store.add([(NAMES[n], CHUNKS[n])])
        store.close()
        if n == 3:
            next(iter(tmp_path.glob("stores/*/b1.*.pack"))).unlink()
    newcomer = Store.at(str(tmp_path), "b")
    assert (5, 5) == (len(newcomer._table), len(newcomer._table.packs))
    newcomer.look(b"".join(NAMES), 32)
    assert [0, 2, 3, 4, 5] == [n for n in range(12) if newcomer.has(NAMES[n])]
    assert CHUNKS[5] == taken(newcomer, NAMES[5])
    newcomer.close()
