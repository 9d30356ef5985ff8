"""A site's own policy, held against its past. What the past does not tell keeps nobody here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from burstd.domain.classes import OPEN, DataRules, Label
from burstd.domain.policy import BurstPolicy, Mode
from burstd.domain.targets import TargetView
from burstd.rehearsal.compare import Rehearsed, bounds, decided
from burstd.rehearsal.decided import Rule
from burstd.rehearsal.history import History
from burstd.rehearsal.rules import EPOCH, epoch

NAME = "policy"  #: of its row
NEVER_TOLD = (
    "scripts, applications, directories, licences, generic resources and what users ask of burstd "
    "are not told: none of them keeps a job here"
)
_NAMED = ("user", "account", "partition")
_CENT = Decimal("0.01")


@dataclass(frozen=True)
class SiteRules:
    """``poll``: from one of the daemon's decisions to the next; ``cycle``: from one of the
    rehearsal's."""

    policy: BurstPolicy
    targets: tuple[TargetView, ...]
    poll: timedelta
    cycle: timedelta


@dataclass(frozen=True)
class Assumed:
    """A site and a past that fit each other, and in ``words`` what was taken for granted for that.
    ``told``: by which of their properties the past knows jobs as Slurm does."""

    history: History
    site: SiteRules
    told: frozenset[str]
    words: tuple[str, ...] = (NEVER_TOLD,)

    @property
    def policy(self) -> BurstPolicy:
        return self.site.policy

    def saying(self, words: str, **changes: Any) -> Assumed:
        """With these changes of the policy."""
        site = replace(self.site, policy=replace(self.policy, **changes))
        return replace(self, site=site, words=(*self.words, words))

    def judges(self, **rules: object) -> bool:
        """Is told what a rule goes by? ``rules``: by property, what it says; empty: nothing."""
        return all(name in self.told for name, said in rules.items() if said)


def assume(history: History, site: SiteRules) -> Assumed:
    """Take for granted what the past does not tell."""
    found = Assumed(history, site, _told(history))
    for step in _STEPS:
        found = step(found)
    return found


def rehearsed(found: Assumed) -> Iterator[Rehearsed]:
    """The bounds; the same policy with the best strategy, which knows how long each job will run;
    and the policy as it stands."""
    site, history = found.site, found.history
    cycle = round(site.cycle.total_seconds())
    rule = Rule(site.policy, site.targets, epoch(history), cycle)
    knowing = replace(rule, policy=replace(site.policy, strategy="marginal"))
    yield from bounds(history, rule.delay)
    yield decided("clairvoyant", history, knowing, knows=True)
    yield decided(NAME, history, rule)


def _told(history: History) -> frozenset[str]:
    if not history.named:
        return frozenset()
    jobs = history.jobs
    known = {
        "user": any(job.user for job in jobs),
        "account": any(job.account for job in jobs),
        "partition": any(job.queue for job in jobs),
        "qos": any(job.qos for job in jobs),
    }
    return frozenset(name for name, is_told in known.items() if is_told)


# --- what is taken for granted


def _mode(found: Assumed) -> Assumed:
    mode = found.policy.mode
    if mode is Mode.AUTO:
        return found
    return found.saying(f"it acts by itself; the file says mode {mode.value}", mode=Mode.AUTO)


def _time(found: Assumed) -> Assumed:
    if found.history.epoch is not None:
        return found
    return found.saying(f"the log does not say when it began: on {EPOCH:%A, %Y-%m-%d}, 00:00Z")


def _names(found: Assumed) -> Assumed:
    """Who may leave goes by what is told."""
    missing = [name for name in _NAMED if name not in found.told]
    if not missing:
        return found
    policy, targets = found.policy, found.site.targets
    users = policy.users if "user" in found.told else frozenset()
    accounts = policy.accounts if "account" in found.told else frozenset()
    if "user" not in found.told:
        targets = tuple(replace(view, users=None) for view in targets)
    words = f"the log has no names of a job's {', '.join(missing)}: none keeps it here"
    found = found.saying(words, users=users, accounts=accounts)
    return replace(found, site=replace(found.site, targets=targets))


def _queues(found: Assumed) -> Assumed:
    """Each job waits in a partition that the policy knows, unless it is told to be another's."""
    home, away = min(found.policy.partitions, default=""), found.policy.burst_partition
    told = "partition" in found.told
    jobs = found.history.jobs
    count = sum(told and job.queue == away for job in jobs)
    moved = tuple(
        job if told and job.queue not in {"", away} else replace(job, queue=home) for job in jobs
    )
    found = replace(found, history=replace(found.history, jobs=moved))
    if not count:
        return found
    return found.saying(f"{count} jobs of partition {away} are taken as jobs of {home}")


def _parts(found: Assumed) -> Assumed:
    """Budgets and marks of parts of the queue that can't be told from the rest."""
    budgets, pressures = found.policy.budgets, found.policy.pressures
    kept = tuple(b for b in budgets if found.judges(account=b.accounts, user=b.users))
    pressing = tuple(
        p for p in pressures if found.judges(account=p.accounts, partition=p.partitions, qos=p.qos)
    )
    left = [f"budget {one.name}" for one in budgets if one not in kept]
    left += [f"pressure {one.name}" for one in pressures if one not in pressing]
    if not left:
        return found
    words = f"left out, as the log does not tell whose they are: {', '.join(left)}"
    return found.saying(words, budgets=kept, pressures=pressing)


def _labels(found: Assumed) -> Assumed:
    rules = found.policy.data
    kept = tuple(
        label
        for label in rules.labels
        if not label.paths
        and found.judges(user=label.users, account=label.accounts, partition=label.partitions)
    )
    left = [label for label in rules.labels if label not in kept]
    if not left:
        return found
    leads = any(_leads(label, rules) for label in left)
    words = f"left out, as they go by what is not told: {len(left)} of {len(rules.labels)} labels"
    if leads:
        words += "; what no other covers may leave, as one of them might have let it"
    free = OPEN.unlabelled if leads else rules.unlabelled
    return found.saying(words, data=DataRules(rules.classes, kept, free))


def _leads(label: Label, rules: DataRules) -> bool:
    """Its class may leave for some target."""
    known = rules.named(label.to)
    return known is not None and (known.targets is None or bool(known.targets))


def _sizes(found: Assumed) -> Assumed:
    if all(job.nodes == 1 for job in found.history.jobs):
        found = found.saying("nodes are not told: no job has too many of them for a target")
    if any(view.egress for view in found.site.targets):
        size = f"{found.policy.most_output / 10**9:g} GB"
        found = found.saying(f"{size} of each job come home, as much as may; where it costs, paid")
    if any(view.speeds for view in found.site.targets):
        found = found.saying("jobs run elsewhere as long as here: no target's speeds are used")
    return found


def _pace(found: Assumed) -> Assumed:
    """As many may begin in an hour as with the daemon's own cycles."""
    site, policy = found.site, found.policy
    times = site.cycle / site.poll
    if times <= 1:
        return found
    most = round(policy.max_new_per_tick * times)
    words = (
        f"it decides every {site.cycle.total_seconds():.0f} s instead of every "
        f"{site.poll.total_seconds():.0f} s, on up to {most} bursts at once"
    )
    step = 1 - (1 - policy.step) ** times
    return found.saying(words, max_new_per_tick=most, step=step)


_STEPS: tuple[Callable[[Assumed], Assumed], ...] = (
    _mode, _time, _names, _queues, _parts, _labels, _sizes, _pace,
)  # fmt: skip


# --- what it came to


@dataclass(frozen=True)
class Month:
    """What the bursts that began in it cost."""

    name: str
    bursts: int
    spent: Decimal


def months(row: Rehearsed) -> list[Month]:
    """In which bursts began. All are over."""
    if row.decided is None:
        return []
    books = row.decided.books
    return [
        Month(f"{term.began:%Y-%m}", count, books.settled[term].quantize(_CENT))
        for term, count in sorted(books.bursts.items(), key=lambda item: item[0].began)
    ]


def stayed(row: Rehearsed) -> dict[str, int]:
    """How many jobs that waited did not leave, by the last reason, most of them first."""
    counted = row.decided.stayed.most_common() if row.decided else []
    return {reason.value: jobs for reason, jobs in counted}
