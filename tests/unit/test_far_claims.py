"""Conversations at one store that run at once: what one of them brings the others wait for, and
nobody waits in vain."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import blake3
import pytest

from burstd.far import claims as module
from burstd.far.incoming import Incoming
from burstd.far.parts import WANTED
from burstd.far.store import Store
from tests.unit.stored import taken

CHUNKS = [random.Random(n).randbytes(500 + 300 * n) for n in range(12)]
NAMES = [blake3.blake3(content).digest() for content in CHUNKS]


class Talk:
    """One conversation; its chunks are called by their place in ``CHUNKS``."""

    def __init__(self, root: Path, key: str, wanted: bool = True, first: bool = False) -> None:
        self.store = Store.at(str(root), key)
        self.claims = self.store.claims(wanted, first)
        self.incoming = Incoming(self.store, self.claims)
        self.asked: list[int] = []  #: by their numbers on the line

    def want(self, *places: int) -> list[int]:
        """Those that must be sent."""
        asked = b"".join(WANTED.pack(NAMES[n], len(CHUNKS[n])) for n in places)
        self.asked += places
        bits = self.incoming.want(asked)
        return [n for at, n in enumerate(places) if bits[at // 8] >> at % 8 & 1]

    def send(self, places: Sequence[int]) -> None:
        runs = [(self.asked.index(n), 1) for n in places]
        self.incoming.take(runs, [b"".join(CHUNKS[n] for n in places)], None)

    def brought(self) -> tuple[list[int], list[int]]:
        """What came, and what nobody brings any more."""
        came, gone = self.incoming.brought()
        return sorted(map(NAMES.index, came)), sorted(map(NAMES.index, gone))

    def has(self, place: int) -> bool:
        return self.store.has(NAMES[place]) and taken(self.store, NAMES[place]) == CHUNKS[place]

    def end(self) -> None:
        self.incoming.release()
        self.claims.close()
        self.store.close()

    def kill(self) -> None:
        """The kernel closes what it held."""
        held = [*self.store._open.values(), self.store._directory]
        held += [self.claims._directory, self.claims._lock]
        held += [self.claims._fd] if self.claims._fd >= 0 else []
        held += [self.store._writer._fd] if self.store._writer is not None else []
        for fd in held:
            os.close(fd)
        self.claims._directory = -1


@pytest.fixture(autouse=True)
def looked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was killed is found out each time."""
    monkeypatch.setattr(module, "LOOKED", 0.0)


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Talk]]:
    """Each call is one more conversation."""
    begun = list[Talk]()

    def one(key: str, wanted: bool = True, first: bool = False) -> Talk:
        begun.append(Talk(tmp_path, key, wanted, first))
        return begun[-1]

    yield one
    for talk in begun:
        if talk.claims._directory >= 0:
            talk.end()


def test_what_one_brings_another_is_not_asked_for(begin: Callable[..., Talk]) -> None:
    first, second = begin("b1"), begin("b2")
    assert [0, 1, 2] == first.want(0, 1, 2)
    assert [3] == second.want(0, 1, 2, 3)
    assert ([], []) == second.brought()
    first.send([0, 1, 2])
    assert ([], []) == second.brought()  # a pack that is not finished may be lost yet
    first.incoming.release()
    assert ([0, 1, 2], []) == second.brought()
    assert all(second.has(n) for n in (0, 1, 2))
    assert [] == begin("b3").want(0, 1, 2)


def test_who_began_later_or_has_ended_meanwhile_is_heard_of(begin: Callable[..., Talk]) -> None:
    first, second = begin("b1"), begin("b2")
    assert [0] == first.want(0)
    assert [1] == second.want(1, 0)
    third = begin("b3")
    assert [2, 3] == third.want(2, 3)
    assert [] == first.want(1, 2)
    third.send([2, 3])
    third.end()
    assert [] == second.want(3)  # it was asked for and brought between two questions
    assert second.has(3)
    assert ([2], []) == first.brought()


def test_of_who_was_killed_the_rest_is_asked_for(begin: Callable[..., Talk]) -> None:
    first, second = begin("b1"), begin("b2")
    first.want(0, 1, 2)
    assert [] == second.want(0, 1, 2)
    first.send([1])
    first.kill()
    assert ([1], [0, 2]) == second.brought()
    assert second.has(1)
    assert [0, 2] == second.want(0, 2)
    assert [] == begin("b3").want(0, 1, 2)


def test_an_earlier_conversation_of_the_same_burst_is_not_waited_for(
    begin: Callable[..., Talk],
) -> None:
    """A network that was cut tells nobody: it hangs for two minutes."""
    begin("b1").want(0, 1)
    assert [0, 1] == begin("b1").want(0, 1)


def test_what_an_earlier_agent_was_to_bring_others_do_not_wait_for(
    begin: Callable[..., Talk],
) -> None:
    """After a cut all bursts come again, while all that they had begun hangs."""
    hanging, other = begin("b1"), begin("b2")
    hanging.want(0, 1, 3)
    hanging.send([3])
    assert [] == other.want(0, 3)
    assert [2] == begin("b1").want(2)  # another line of the same agent
    assert ([], []) == other.brought()
    again = begin("b1", first=True)
    assert ([3], [0]) == other.brought()
    assert other.has(3)
    assert [0] == other.want(0)
    assert [1] == again.want(0, 1, 3)
    assert hanging.claims._fd >= 0


def test_who_brings_nothing_for_long_is_not_waited_for(
    begin: Callable[..., Talk], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("burstd.far.claims.time.monotonic", lambda: now)
    slow, hangs, second = begin("b1"), begin("b2"), begin("b3")
    slow.want(0, 1)
    hangs.want(2, 3)
    os.utime(slow.claims._fd, (1, 1))
    assert [] == second.want(0, 2)
    now += 200
    slow.send([1])
    assert ([], []) == second.brought()
    now += 200
    assert ([], [2]) == second.brought()
    assert [2, 3] == second.want(2, 3)
    assert [0, 1] == [n for n in (0, 1) if NAMES[n] in second.claims.brought(NAMES)]


def test_once_a_pack_is_finished_its_names_are_no_claims_any_more(
    begin: Callable[..., Talk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("burstd.far.store._FULL", 1000)
    first, second = begin("b1"), begin("b2")
    first.want(*range(12))
    assert [] == second.want(*range(12))
    first.send([0, 1])
    first.send([2])  # into another pack
    assert ([0, 1], []) == second.brought()
    (file,) = (p for p in tmp_path.glob("stores/*/claims.*/b1.*"))
    names = file.read_bytes()
    assert sorted(NAMES[2:]) == sorted(names[at : at + 32] for at in range(0, len(names), 32))


def test_a_pack_is_finished_soon_where_others_may_wait_for_it(
    begin: Callable[..., Talk], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("burstd.far.store.time.monotonic", lambda: now)
    first, second = begin("b1"), begin("b2")
    first.want(*range(12))
    for n in range(3):
        first.send([n])
        now += 3
    finished = [first.store.finished]
    assert [] == second.want(0, 2)  # it waits, and has nothing of its own to bring
    first.send([3])
    assert [0, 1] == [*finished, first.store.finished]
    second.incoming.release()
    assert ([0, 2], []) == second.brought()
    assert [] == second.want(3, 4)
    second.incoming.release()
    now += 3
    first.send([4])
    assert ([3], []) == second.brought()
    now += 1
    first.send([5])
    assert ([], []) == second.brought()


def test_where_there_are_no_locks_nobody_is_waited_for(
    begin: Callable[..., Talk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_fd: int, _how: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    first, second = begin("b1"), begin("b2")
    assert [0, 1] == first.want(0, 1)
    assert [0, 1] == second.want(0, 1)
    assert [] == [p for p in tmp_path.glob("stores/*/claims.*/*") if p.name != "lock"]


def test_who_gets_no_turn_brings_all_himself(
    begin: Callable[..., Talk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    first, second = begin("b1"), begin("b2")
    assert [0] == first.want(0)
    (lock,) = tmp_path.glob("stores/*/claims.*/lock")
    with lock.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        before = signal.getsignal(signal.SIGALRM)
        assert [0, 1] == second.want(0, 1)
        assert (before, (0.0, 0.0)) == (
            signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL),
        )  # fmt: skip
    second.send([0, 1])
    assert [2] == second.want(2, 1)
    assert [1, 2] == first.want(1, 2)  # nobody hears of it either
    assert ([], []) == second.brought()


def test_a_directory_of_claims_that_others_can_write_to_is_not_used(
    begin: Callable[..., Talk], tmp_path: Path
) -> None:
    begin("b0")
    (place,) = tmp_path.glob("stores/*/claims.*")
    place.chmod(0o770)
    first, second = begin("b1"), begin("b2", wanted=False)
    assert [0] == first.want(0)
    assert [0] == second.want(0)
    assert ["lock"] == [path.name for path in place.iterdir()]


def test_who_waits_looks_again_once_something_has_changed(
    begin: Callable[..., Talk], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(module, "LOOKED", 5.0)
    monkeypatch.setattr("burstd.far.claims.time.monotonic", lambda: now)
    first, second = begin("b1"), begin("b2")
    first.want(0, 1)
    assert [] == second.want(0, 1)
    assert not second.incoming.news
    first.want(2)
    assert (False, True) == (first.incoming.news, second.incoming.news)
    assert ([], []) == second.brought()
    assert not second.incoming.news
    first.send([0, 1, 2])
    first.incoming.release()
    assert second.incoming.news
    assert ([0, 1], []) == second.brought()
    now += 4.9
    assert not second.incoming.news
    now += 0.2
    assert second.incoming.news


def test_a_torn_name_is_read_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "claims"
    path.write_bytes(NAMES[0] + NAMES[1][:7])
    directory = os.open(tmp_path, os.O_RDONLY)
    other = module._Other(directory, b"claims")
    other.look()
    assert {NAMES[0]} == other.names
    with path.open("ab") as file:
        file.write(NAMES[1][7:])
    other.look()
    assert {NAMES[0], NAMES[1]} == other.names
    os.close(directory)


class Story:
    """Some conversations in any order, with kills. Of each we know what it waits for."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.dice, self.begun = root, random.Random(seed), 0
        self.talks: dict[Talk, set[int]] = {}
        self.sending: dict[Talk, list[int]] = {}

    def step(self) -> None:
        if len(self.talks) < 4 and self.dice.random() < 0.3:
            self.begun += 1
            self.talks[Talk(self.root, f"b{self.begun}")] = set()
        elif self.talks:
            talk = self.dice.choice(list(self.talks))
            self.dice.choices((self.ask, self.send, self.look, self.end), (4, 4, 2, 1))[0](talk)

    def ask(self, talk: Talk) -> None:
        asked = self.dice.sample(range(12), self.dice.randint(1, 4))
        lacking = talk.want(*asked)
        others = {n for other, on in self.sending.items() if other is not talk for n in on}
        assert not others & set(lacking), "somebody else is bringing it"
        self.sending.setdefault(talk, []).extend(set(lacking) - set(self.sending.get(talk, ())))
        self.talks[talk] = {n for n in self.talks[talk] if n not in lacking}
        for n in set(asked) - set(lacking):
            if not talk.has(n):
                self.talks[talk].add(n)

    def send(self, talk: Talk) -> None:
        coming = self.sending.pop(talk, [])
        if coming:
            talk.send(coming)

    def look(self, talk: Talk) -> None:
        waited = self.talks[talk]
        came, gone = talk.brought()
        assert waited >= set(gone)
        assert all(talk.has(n) for n in came)
        self.talks[talk] -= {*came, *gone}
        if gone:
            self.sending.setdefault(talk, []).extend(talk.want(*gone))

    def end(self, talk: Talk) -> None:
        waited = self.talks.pop(talk)
        if self.dice.random() < 0.5:
            self.sending.pop(talk, None)
            talk.kill()
            return
        self.send(talk)
        talk.incoming.release()
        for other in self.talks:  # all of them send what is asked of them, and end some day
            self.send(other)
            other.incoming.release()
        came, gone = talk.brought()
        assert waited == {*came, *gone}, "it would wait for ever"
        talk.end()


def test_nothing_is_asked_for_twice_and_nobody_waits_for_ever(tmp_path: Path) -> None:
    for seed in range(120):
        story = Story(tmp_path / str(seed), seed)
        for _ in range(60):
            story.step()
        for talk in list(story.talks):
            story.end(talk)
