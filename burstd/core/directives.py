"""Reads what users ask: ``key=value`` words. Pure; what can't be read is kept, never guessed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from burstd.domain.directives import NONE, Directives, JobMode
from burstd.domain.licences import parse_licences
from burstd.domain.targets import TargetName

#: Of two modes the one further on counts.
_STRENGTH = (JobMode.AUTO, JobMode.PREFER, JobMode.REQUIRE, JobMode.NEVER)
MOST = 100  #: words of one script; who writes more keeps the job here
LONGEST = 400  #: characters of one word
_KEPT = 80  #: characters of one that can't be read


def directives(words: Iterable[str]) -> Directives:
    """All of them together: ``mode=``, ``app=``, ``class=``, ``licences=``, ``target=``,
    ``deadline=``, ``max-cost=``, ``checkpoint=``. A mode may stand alone: ``never``."""
    found = NONE
    for count, word in enumerate(words):
        if count == MOST:
            return together(found, Directives(unread=(f"more than {MOST} words",)))
        found = together(found, _read(word) or Directives(unread=(word[:_KEPT],)))
    return found


def _read(word: str) -> Directives | None:
    """``None``: it can't be read."""
    key, given, value = word.partition("=")
    read = _READERS.get(key) if given else _READERS["mode"]
    if read is None or len(word) > LONGEST:
        return None
    try:
        return read(value if given else word)
    except (ValueError, InvalidOperation):
        return None


def together(one: Directives, other: Directives) -> Directives:
    """Both: the stricter of each."""
    if other == NONE:
        return one
    if one == NONE:
        return other
    return Directives(
        mode=max(one.mode, other.mode, key=_STRENGTH.index),
        application=one.application or other.application,
        classes=tuple(dict.fromkeys([*one.classes, *other.classes])),
        licences=_most(one.licences, other.licences),
        targets=_both(one.targets, other.targets),
        deadline=min(filter(None, (one.deadline, other.deadline)), default=None),
        most_cost=min((c for c in (one.most_cost, other.most_cost) if c is not None), default=None),
        checkpoint=one.checkpoint or other.checkpoint,
        unread=one.unread + other.unread,
    )


def granted(asked: Directives, modes: frozenset[str]) -> Directives:
    """Without a mode that the site does not grant: then it is as if its user had said nothing."""
    if asked.mode in {JobMode.AUTO, JobMode.NEVER} or asked.mode.value in modes:
        return asked
    return replace(asked, mode=JobMode.AUTO)


def _both(
    one: frozenset[TargetName] | None, other: frozenset[TargetName] | None
) -> frozenset[TargetName] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _most(one: str, other: str) -> str:
    """The more of each: who says it twice does not need it twice. What can't be read stays so."""
    if not (one and other):
        return one or other
    try:
        needs, more = parse_licences(one), parse_licences(other)
    except ValueError:
        return f"{one},{other}"
    names = needs.keys() | more.keys()
    return ",".join(f"{n}:{max(needs.get(n, 0), more.get(n, 0))}" for n in sorted(names))


def _deadline(value: str) -> Directives:
    """``2026-11-28T08:00``, in UTC where no other offset is given."""
    moment = datetime.fromisoformat(value)
    return Directives(deadline=moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _most_cost(value: str) -> Directives:
    cost = Decimal(value)
    if not cost.is_finite() or cost < 0:
        raise ValueError(value)
    return Directives(most_cost=cost)


def _named(value: str) -> str:
    if not value:
        raise ValueError("empty")
    return value


def _checkpoint(value: str) -> Directives:
    """``USR1`` or ``USR2``, the signals that only a script's first process gets; SIG may stand
    before it."""
    name = value.removeprefix("SIG")
    if name not in {"USR1", "USR2"}:
        raise ValueError(value)
    return Directives(checkpoint=name)


_READERS: Mapping[str, Callable[[str], Directives]] = {
    "mode": lambda value: Directives(mode=JobMode(value)),
    "app": lambda value: Directives(application=_named(value)),
    "class": lambda value: Directives(classes=(_named(value),)),
    "licences": lambda value: Directives(licences=_named(value)),
    "target": lambda value: Directives(
        targets=frozenset(TargetName(name) for name in _named(value).split(","))
    ),
    "deadline": _deadline,
    "max-cost": _most_cost,
    "checkpoint": _checkpoint,
}
