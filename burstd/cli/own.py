"""``burst simulate --config``: a site's own policy and targets, rehearsed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from burstd.cli.rehearsed import Found

if TYPE_CHECKING:
    from burstd.rehearsal.compare import Rehearsed
    from burstd.rehearsal.history import History
    from burstd.rehearsal.site import Assumed


class BadChoice(ValueError):
    """Options that don't go together, or a value that is none; says what to do."""


def by_config(path: Path, cycle: str | None, history: History) -> Found:
    """The past under this configuration. Raises ``ConfigError`` and ``BadChoice``."""
    from burstd.rehearsal.site import rehearsed

    assumed = _assumed(path, cycle, history)
    rows = list(rehearsed(assumed))
    last = rows[-1]
    told = _as_json(path, assumed, last)
    return Found(assumed.history, rows, words=_words(assumed, last), policy=told)


def _assumed(path: Path, cycle: str | None, history: History) -> Assumed:
    from burstd.app import offers
    from burstd.config.policy import policy_of
    from burstd.config.read import read_rules
    from burstd.rehearsal.rules import CYCLE, dense
    from burstd.rehearsal.site import SiteRules, assume

    config = read_rules(path)
    poll = config.site.poll
    least = max(poll, CYCLE) if dense(history) else poll
    chosen = least if cycle is None else _cycle(cycle, poll)
    return assume(history, SiteRules(policy_of(config), offers(config, path), poll, chosen))


def _cycle(text: str, poll: timedelta) -> timedelta:
    from burstd.config.units import duration

    try:
        found = duration(text)
    except ValueError as error:
        raise BadChoice(f"--cycle {text}: {error}") from error
    if found < poll:
        raise BadChoice(f"--cycle {text}: the daemon's own cycle, site.poll, is longer")
    return found


def _as_json(path: Path, found: Assumed, row: Rehearsed) -> dict[str, Any]:
    from burstd.rehearsal.site import months, stayed

    policy = found.policy
    return {
        "file": str(path),
        "cycle_s": found.site.cycle.total_seconds(),
        "assumed": list(found.words),
        "currency": policy.currency,
        "budget": float(policy.budget),
        "months": [
            {"month": month.name, "bursts": month.bursts, "spent": float(month.spent)}
            for month in months(row)
        ],
        "stayed": stayed(row),
    }


def _words(found: Assumed, row: Rehearsed) -> list[str]:
    from burstd.rehearsal.site import months, stayed

    policy = found.policy
    of = f"of {policy.budget} {policy.currency}"
    paid = [f"{month.name} {month.spent} by {month.bursts} bursts" for month in months(row)]
    stays = [f"{reason}: {jobs}" for reason, jobs in stayed(row).items()]
    return [
        f"spent, {of} a month: {', '.join(paid) or 'nothing'}",
        f"waited and did not leave, by the last reason: {'; '.join(stays) or 'nobody'}",
        *(f"assumed: {assumption}" for assumption in found.words),
    ]
