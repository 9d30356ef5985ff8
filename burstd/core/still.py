"""May a job that was found to leave leave still, by the rules that hold now? Between a decision and
its first step lie days where an operator's yes is waited for, or a restart with another policy."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from burstd.core.data import classes, targets_of
from burstd.core.eligible import case, rulings
from burstd.core.licences import Never, ask_of
from burstd.domain.burst import Burst
from burstd.domain.jobs import QueuedJob
from burstd.domain.licences import PoolView
from burstd.domain.plan import Reason, ScriptFacts
from burstd.domain.policy import BurstPolicy

#: What a site, or the job's user, forbids; not what the queue was like in that moment.
_LASTING = frozenset(
    {"partition", "user", "account", "wish", "size", "class", "script", "application"}
)


def objection(
    job: QueuedJob,
    facts: ScriptFacts,
    policy: BurstPolicy,
    burst: Burst,
    now: datetime,
    pools: Mapping[str, PoolView],
) -> str:
    """Why it may not go where it was to go any more; empty: it may."""
    asked, target = case(job, facts, policy, now), burst.target
    for ruling in rulings(asked):
        if ruling.rule in _LASTING and ruling.objection is not None:
            numbers = ", ".join(f"{name} {value}" for name, value in ruling.numbers.items())
            return f"{ruling.objection.value} ({numbers})" if numbers else ruling.objection.value
    theirs = asked.asked
    if theirs.targets is not None and target not in theirs.targets:
        return "its user wants another target"
    if theirs.most_cost is not None and burst.reserved > theirs.most_cost:
        money = burst.currency or policy.currency
        return (
            f"it may cost {burst.reserved} {money}, and its user allows {theirs.most_cost} {money}"
        )
    if target not in policy.targets:
        return f"{target} is not one of the site's targets"
    allowed = targets_of(classes(job, policy.data, theirs.classes))
    if allowed is not None and target not in allowed:
        return f"its data may not go to {target}"
    return _unbooked(job, asked.facts or facts, burst, pools)


def _unbooked(
    job: QueuedJob, facts: ScriptFacts, burst: Burst, pools: Mapping[str, PoolView]
) -> str:
    """Licences that it needs by now beyond those that were booked with it: they may be others'."""
    try:
        booked = ask_of(job, facts, pools).booked
    except Never as why:
        numbers = ", ".join(f"{name} {value}" for name, value in why.numbers.items())
        return f"{Reason.LICENCES.value} ({numbers})"
    more = {name: n for name, n in booked.items() if n > burst.licences.get(name, 0)}
    if not more:
        return ""
    (name, count), *_ = more.items()
    return f"it needs {count} licences of {name}, and {burst.licences.get(name, 0)} are booked"
