"""What users want of the site: jobs as data, and what each job's payload does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

CCX = "#!/bin/sh\nccx deck\n"
SAVES = "#!/bin/sh\n#BURST checkpoint=USR1\nccx deck\n"
FLUENT = "#!/bin/sh\nfluent\n"
#: ``--nodes=2 --ntasks-per-node=4``, as Slurm shows it.
TWO_NODES = {
    "NumNodes": "2", "NumTasks": "8", "NumCPUs": "8", "NtasksPerN:B:S:C": "4:0:*:*",
    "ReqTRES": "cpu=8,node=2",
}  # fmt: skip
#: ``--exclusive --mem=0 --exclude=n9``.
EXCLUSIVE = {"OverSubscribe": "NO", "MinMemoryNode": "0", "ExcNodeList": "n9"}


@dataclass(frozen=True)
class Payload:
    """What the work of a job does wherever it runs: after so many seconds it ends so. ``saves``: at
    a signal it saves its state, and stops; ``told``: its user wants that when it has run elsewhere
    for so many seconds."""

    seconds: int
    code: int = 0
    saves: bool = False
    told: int | None = None


@dataclass(frozen=True)
class Order:
    """One ``sbatch``, at the beginning of a turn. ``after``: the order that it depends on."""

    name: str
    turn: int
    payload: Payload
    user: str = "alice"
    minutes: int = 60
    partition: str = "cae"
    script: str = CCX
    tasks: tuple[int, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    comment: str = ""
    missing: str = ""
    after: tuple[str, int] | None = None  #: ("afterok", number of the order)


def draw_orders(dice: Random, most: int, turns: int) -> tuple[Order, ...]:
    """One to ``most`` jobs of all kinds, mostly few: what happens then happens to them."""
    orders: list[Order] = []
    for number in range(dice.choice((1, 1, 1, 2, 2, 3, most))):
        kind = dice.choice(tuple(KINDS)) if number or dice.random() < 0.4 else "plain"
        order = Order(
            name=f"j{number}",
            turn=dice.randint(0, 2 if number == 0 else turns // 3),
            payload=_draw_payload(dice),
            user=dice.choice(("alice", "alice", "bob")),
            minutes=dice.choice((60, 120)),
            fields={"NumCPUs": dice.choice("1124")},
        )
        orders.append(KINDS[kind](order, dice, orders))
    return tuple(orders)


def _draw_payload(dice: Random) -> Payload:
    seconds = dice.choice((1, 15, 15, 40, 40, 90, 400))
    return Payload(seconds, dice.choice((0, 0, 0, 0, 3)))


def _plain(order: Order, dice: Random, before: Sequence[Order]) -> Order:
    return order


def _array(order: Order, dice: Random, before: Sequence[Order]) -> Order:
    return replace(order, tasks=tuple(range(dice.randint(2, 3))))


def _two_nodes(order: Order, dice: Random, before: Sequence[Order]) -> Order:
    return replace(order, fields=TWO_NODES)


def _exclusive(order: Order, dice: Random, before: Sequence[Order]) -> Order:
    return replace(order, fields={**order.fields, **EXCLUSIVE})


def _wish(order: Order, dice: Random, before: Sequence[Order]) -> Order:
    return replace(order, partition="burst")


def _declined_wish(order: Order, dice: Random, before: Sequence[Order]) -> Order:
    return replace(order, partition="burst", script=FLUENT)


def _hole(order: Order, dice: Random, before: Sequence[Order]) -> Order:
    return replace(order, missing="missing input file mesh.inc")


def _dependent(order: Order, dice: Random, before: Sequence[Order]) -> Order:
    kind = dice.choice(("afterok", "afterany"))
    return replace(order, after=(kind, dice.randrange(len(before)))) if before else order


def _nobody(order: Order, dice: Random, before: Sequence[Order]) -> Order:
    """A user without an account at the target."""
    return replace(order, user="carol")


def _willing(order: Order, dice: Random, before: Sequence[Order]) -> Order:
    return replace(order, comment=dice.choice(("burst:prefer", "burst:require")))


def _stays(order: Order, dice: Random, before: Sequence[Order]) -> Order:
    return replace(order, comment="burst:never")


def _saves(order: Order, dice: Random, before: Sequence[Order]) -> Order:
    """It can be stopped, to go on later, if it hears that before its end."""
    seconds, told = dice.choice((40, 90, 400)), dice.choice((0, 5, 15, 30))
    payload = Payload(seconds, order.payload.code, dice.random() < 0.8, told)
    return replace(order, script=SAVES, payload=payload)


KINDS: Mapping[str, Callable[[Order, Random, Sequence[Order]], Order]] = {
    "plain": _plain,
    "plain too": _plain,
    "array": _array,
    "two nodes": _two_nodes,
    "exclusive": _exclusive,
    "exclusive hole": lambda order, dice, before: _hole(
        _exclusive(order, dice, before), dice, before
    ),
    "wish": _wish,
    "declined wish": _declined_wish,
    "hole": _hole,
    "dependent": _dependent,
    "nobody": _nobody,
    "stays": _stays,
    "willing": _willing,
    "saves": _saves,
    "saves too": _saves,
    "also saves": _saves,
}
