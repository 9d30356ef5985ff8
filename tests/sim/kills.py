"""burstd killed at every call of every port, before and after its effect; and killed once more at
every later one.

A kill takes burstd's memory and leaves the world and the ledger. So the world is pictured at every
point at which it differs from the last picture, and each picture is a place to go on from: two
kills that leave the same world have the same future, which is played once.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import pickle
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from burstd.testing.clock import SetClock
from burstd.testing.simulators import memory, picture_of
from tests.sim import ends
from tests.sim.calls import CHANGES, Call
from tests.sim.campaign import cores, quiet
from tests.sim.checker import Checker, Known
from tests.sim.daemon import POLICY, Daemon
from tests.sim.ledger import empty
from tests.sim.site import Site
from tests.sim.workload import FLUENT, Order, Payload

#: Turns in which everything must be over.
BOUND = 100
#: Where a point lies within a turn: in burstd's own part, or where agents speak to it.
OWN, AGENTS = "own", "agents"


@dataclass(frozen=True)
class Script:
    """A story without any other trouble. ``power_cut``: each kill takes slurmctld along."""

    orders: tuple[Order, ...]
    room_from: int = 1000  #: the turn from which a node is free at home
    seconds: int = 10
    power_cut: bool = False


_HOUR = 120
REFERENCE = Script((Order("beam", 0, Payload(15), minutes=_HOUR),))
RICH = Script(
    (
        Order("beam", 0, Payload(30), minutes=_HOUR),
        Order("wish", 0, Payload(20), partition="burst", script=FLUENT),
        Order("hole", 0, Payload(10), minutes=_HOUR, missing="missing input file"),
    ),
    room_from=6,
)


@dataclass(frozen=True)
class Picture:
    """All that a kill leaves at a point. ``points``: how many points have this picture."""

    world: bytes
    ledger: bytes
    points: int = 1

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.world + self.ledger).digest()


@dataclass
class Stand:
    """How far a script has been played: the world, its judge, burstd's machine."""

    script: Script
    site: Site
    checker: Checker
    clock: SetClock
    turn: int = 0
    phase: str = OWN

    @classmethod
    def at_the_beginning(cls, script: Script) -> Stand:
        site = Site()
        return cls(script, site, Checker(site, POLICY.budget), SetClock(site.clock))


@dataclass
class Run:
    """A script from its beginning, or from a picture on; ``pictures``: of all points on its way.

    ``trusting``: no picture is taken after what only reads.
    """

    stand: Stand
    ledger: bytes
    pictured: bool
    trusting: bool = True
    pictures: list[Picture] = field(default_factory=list)
    points: int = 0
    _dirty: bool = True

    @classmethod
    def from_the_beginning(cls, script: Script, *, trusting: bool = True) -> Run:
        return cls(Stand.at_the_beginning(script), empty(), True, trusting)

    @classmethod
    def after_a_kill(cls, picture: Picture, *, pictured: bool) -> Run:
        return cls(pickle.loads(picture.world), picture.ledger, pictured)

    def play(self) -> list[str]:
        """To the end; what is wrong."""
        stand, site, checker = self.stand, self.stand.site, self.stand.checker
        self.database = memory(self.ledger)
        self.daemon = Daemon("A", site, self.database, POLICY, self._tap, stand.clock)
        if stand.turn or site.submitted:  # killed in the middle of a turn
            if stand.script.power_cut:
                site.slurm.crash()
                site.what_was_forgotten()
            self._rest_of_turn(spoken=stand.phase == AGENTS)
        last = BOUND
        while stand.turn < last and not checker.wrong:
            self._one_turn()
            if last == BOUND and stand.turn > 3 and ends.all_is_over(site, checker):
                last = stand.turn + 2  # what closed the last burst may leave something to tidy up
        if checker.wrong:
            return checker.wrong
        return [*ends.judge(site, checker), *self.daemon.faults]

    def _one_turn(self) -> None:
        stand, site = self.stand, self.stand.site
        for number, order in enumerate(stand.script.orders):
            if order.turn == stand.turn and number not in site.submitted:
                site.submit(number, order)
        site.slurm.slots = int(stand.turn >= stand.script.room_from)
        self._happened()
        if not self.daemon.alive:
            self.daemon.start()
        stand.phase = OWN
        self.daemon.turn()
        self._rest_of_turn(spoken=False)

    def _rest_of_turn(self, *, spoken: bool) -> None:
        """Everybody else's part; agents are silent where burstd is dead."""
        stand, site = self.stand, self.stand.site
        if not spoken:
            site.schedulers()
            self._happened()
            stand.phase = AGENTS
            if self.daemon.alive:
                self.daemon.serve(site.agents.work)
        site.clock.forward(seconds=stand.script.seconds)
        site.payloads_end()
        self._happened()
        site.slurm.commands.clear()
        site.target.calls.clear()
        stand.turn += 1

    def _tap(self, call: Call, real: Any) -> Any:
        self._point()
        self.stand.checker.before_call(call)
        result = real()
        if call.seam == "slurm":
            self.stand.checker.after_slurm(call)
        self.stand.checker.after(self.database)
        self._dirty = self._dirty or call.kind in CHANGES or not self.trusting
        self._point()
        return result

    def _happened(self) -> None:
        self.stand.checker.after(self.database)
        self._dirty = True

    def _point(self) -> None:
        self.points += 1
        if not self.pictured:
            return
        if self._dirty or not self.pictures:
            self.pictures.append(self._picture())
            self._dirty = False
        else:
            last = self.pictures[-1]
            self.pictures[-1] = replace(last, points=last.points + 1)

    def _picture(self) -> Picture:
        return Picture(pictured(self.stand), picture_of(self.database))


def pictured(stand: Stand) -> bytes:
    """The world as a kill leaves it: what a daemon knew of it is gone, what was logged is no part
    of it."""
    agents, checker = stand.site.agents, stand.checker
    slurm, target = stand.site.slurm, stand.site.target
    kept = (agents.store, checker.event, checker.stood, checker.known, checker.ledger.seen)
    logs = (slurm.commands, target.calls)
    agents.store = None  # type: ignore[assignment]
    checker.event, checker.stood, checker.known, checker.ledger.seen = 0, {}, Known(), -1
    slurm.commands, target.calls = [], []
    try:
        return pickle.dumps(stand, pickle.HIGHEST_PROTOCOL)
    finally:
        agents.store, checker.event, checker.stood, checker.known, checker.ledger.seen = kept
        slurm.commands, target.calls = logs


@dataclass
class Score:
    """``kills``: of one kill, or of pairs of them; ``played``: futures that had to be played."""

    points: int = 0
    kills: int = 0
    played: int = 0
    wrong: list[str] = field(default_factory=list)


def points(script: Script) -> Score:
    """One kill at every point."""
    run = Run.from_the_beginning(script)
    score = Score(wrong=run.play(), points=run.points, kills=run.points)
    for picture in distinct(run.pictures):
        score.wrong += Run.after_a_kill(picture, pictured=False).play()
        score.played += 1
    return score


def pairs(script: Script) -> Score:
    """A second kill at every point after the first, on every core there is."""
    run = Run.from_the_beginning(script)
    score = Score(wrong=run.play(), points=run.points)
    firsts = distinct(run.pictures)
    workers = cores()
    shares = [firsts[n::workers] for n in range(workers)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=quiet) as pool:
        for part in pool.map(second_kills, shares):
            score.kills += part.kills
            score.played += part.played
            score.wrong += part.wrong
    return score


def second_kills(firsts: Iterable[Picture]) -> Score:
    """Every second kill after these first ones."""
    score, seen = Score(), set[bytes]()
    for first in firsts:
        run = Run.after_a_kill(first, pictured=True)
        score.wrong += run.play()
        score.kills += run.points * first.points
        for second in distinct(run.pictures):
            if second.digest in seen:
                continue
            seen.add(second.digest)
            score.wrong += Run.after_a_kill(second, pictured=False).play()
            score.played += 1
    return score


def distinct(pictures: Iterable[Picture]) -> list[Picture]:
    """Each picture once, with the number of points that have it."""
    found: dict[bytes, Picture] = {}
    for picture in pictures:
        known = found.get(picture.digest)
        total = picture.points + (known.points if known else 0)
        found[picture.digest] = replace(picture, points=total)
    return list(found.values())
