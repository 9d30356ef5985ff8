"""A story: who wants what of the site, and what goes wrong when. All of it drawn from one seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from random import Random

from burstd.domain.jobs import CoreHours
from burstd.domain.policy import BurstPolicy, Pressure, Watermarks
from burstd.domain.targets import Money
from tests.sim.acts import ACTS
from tests.sim.calls import (
    ANY,
    CALLS,
    CHANGES,
    FAR_CHANGE,
    FAR_READ,
    LINK,
    PAST,
    REPORT,
    SLURM_CHANGE,
    SLURM_READ,
    STORE_CHANGE,
    STORE_READ,
    TURN,
)
from tests.sim.daemon import POLICY
from tests.sim.faults import FAULTS
from tests.sim.workload import Order, draw_orders

#: How many calls of a kind a job brings about in its life, roughly: where a move can fall.
CALLS_PER_JOB: Mapping[str, int] = {
    SLURM_READ: 60, SLURM_CHANGE: 7, STORE_READ: 120, STORE_CHANGE: 20, REPORT: 4, FAR_READ: 25,
    FAR_CHANGE: 4, LINK: 25, PAST: 1,
}  # fmt: skip
CALLS_IN_A_LIFE = 200  #: of all kinds, of one job alone
AT_ONCE = 30  #: calls within which everything happens in some stories
#: A change is where most can go wrong.
_LIKELY = {kind: 4 if kind in CHANGES else 1 for kind in CALLS}


@dataclass(frozen=True)
class Move:
    """One thing that happens: an act of the world, or a fault of a call.

    ``place`` and ``nth``: in the nth turn, at the nth call of that kind, or at the first call from
    the nth of all on that it can befall. An act comes before its call or, with ``after``, behind.
    """

    name: str
    place: str
    nth: int
    pick: int = 0
    size: int = 0
    after: bool = False

    def __str__(self) -> str:
        where = f"in turn {self.nth}" if self.place == TURN else f"at {self.place} {self.nth}"
        when = " (after it)" if self.after else ""
        return f"{where}{when}: {self.name} pick={self.pick} size={self.size}"


@dataclass(frozen=True)
class Story:
    """``seconds``: of one turn. After ``turns`` of them nothing goes wrong any more."""

    seed: int
    policy: BurstPolicy
    orders: tuple[Order, ...]
    moves: tuple[Move, ...]
    turns: int
    seconds: int
    licences: int = 0  #: that each job needs one of; 0: none
    egress: Decimal = Decimal(0)  #: what a GB costs on its way home


def draw(seed: int) -> Story:
    """The story of a seed."""
    dice = Random(seed)
    turns = dice.choice((10, 14, 20, 30))
    orders = draw_orders(dice, 5, turns)
    jobs = sum(max(1, len(order.tasks)) for order in orders)
    more = Random(f"what the policy weighs {seed}")
    return Story(
        seed=seed,
        policy=_draw_rules(more, _draw_policy(dice)),
        licences=more.choice((0, 0, 0, 1, 2)),
        egress=Decimal(more.choice((0, 0, 1))) / 1000,
        orders=orders,
        moves=_draw_moves(dice, turns, jobs),
        turns=turns,
        seconds=dice.choice((1, 3, 5, 5, 10, 20)),
    )


def _draw_policy(dice: Random) -> BurstPolicy:
    return replace(
        POLICY,
        watermarks=Watermarks(high=CoreHours(1), low=CoreHours(dice.choice((0.1, 1)))),
        budget=Money(Decimal(dice.choice(("0.06", "0.25", "0.5", "100", "100")))),
        max_open_bursts=dice.choice((2, 1000, 1000)),
        max_new_per_tick=dice.choice((1, 50, 50)),
        min_age=timedelta(seconds=dice.choice((0, 0, 15))),
    )


def _draw_rules(dice: Random, policy: BurstPolicy) -> BurstPolicy:
    part = Pressure(
        "part", Watermarks(CoreHours(0.5), CoreHours(0.1)), accounts=frozenset({"phys"})
    )
    return replace(
        policy,
        strategy=dice.choice(("marginal", "threshold", "waiting")),
        pressures=dice.choice(((), (), (part,))),
        step=dice.choice((1.0, 1.0, 0.3)),
        cooldown=timedelta(seconds=dice.choice((0, 0, 20))),
        modes=frozenset(dice.choice(((), ("prefer", "require")))),
        veto=dice.random() < 0.3,
        start_delay=timedelta(seconds=dice.choice((0, 300))),
        most_output=10**6,
    )


def _draw_moves(dice: Random, turns: int, jobs: int) -> tuple[Move, ...]:
    """From a few names of the tables, drawn first: faults of one sort find more than a mixture. In
    every other story all of them come within a few calls of each other."""
    names = _draw_names(dice, dice.choice((2, 3, 4, 8, 16)))
    count = dice.choice((3, 5, 8, 12, 24))
    if dice.random() < 0.5:
        first = _early(dice, CALLS_IN_A_LIFE * jobs)
        places = [(ANY, first + dice.randrange(AT_ONCE)) for _ in range(count)]
        return tuple(_draw_move(dice, dice.choice(names), place, nth) for place, nth in places)
    moves = []
    for _ in range(count):
        name = dice.choice(names)
        place = _draw_place(dice, name)
        last = turns if place == TURN else CALLS_PER_JOB[place] * jobs
        moves.append(_draw_move(dice, name, place, _early(dice, last)))
    return tuple(moves)


def _draw_names(dice: Random, count: int) -> list[str]:
    """Different ones, by their weight."""
    weights = {name: row.weight for table in (ACTS, FAULTS) for name, row in table.items()}
    names: list[str] = []
    while len(names) < count:
        left = [name for name in weights if name not in names]
        names.append(dice.choices(left, [weights[name] for name in left])[0])
    return names


def _draw_move(dice: Random, name: str, place: str, nth: int) -> Move:
    sizes = ACTS[name].sizes if name in ACTS else FAULTS[name].sizes
    pick, after = dice.randrange(12), dice.random() < 0.5
    return Move(name, place, nth, pick, dice.choice(sizes), after)


def _early(dice: Random, last: int) -> int:
    """Before ``last``, rather early than late: most bursts are over sooner than the longest."""
    return int(last * dice.random() ** 1.5)


def _draw_place(dice: Random, name: str) -> str:
    if name in FAULTS:
        return _one_of(dice, FAULTS[name].at)
    return TURN if dice.random() < 0.4 else _one_of(dice, CALLS)


def _one_of(dice: Random, kinds: Sequence[str]) -> str:
    return dice.choices(kinds, [_LIKELY[kind] for kind in kinds])[0]
