"""May this job leave at all? Each rule is one line of ``RULES``; the first that objects decides.

For an explanation all of them are asked: whoever wants a job to leave must know everything that
keeps it here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from burstd.core import data
from burstd.core.directives import directives, granted, together
from burstd.domain.directives import NONE, Directives, JobMode
from burstd.domain.jobs import QueuedJob
from burstd.domain.plan import Objection, Reason, Ruling, ScriptFacts, Snapshot
from burstd.domain.policy import BurstPolicy
from burstd.domain.targets import TargetView

#: The setting that decides, where it is another than the rule's first; empty: none of the site's.
_DECIDES: Mapping[Reason, str] = {
    Reason.TOO_SMALL: "policy.min_core_hours",
    Reason.UNLABELLED: "policy.unlabelled",
    Reason.UNKNOWN_CLASS: "policy.classes",
    Reason.DATA_STAYS: "policy.classes",
    Reason.USER_FORBIDS: "",
    Reason.BAD_DIRECTIVE: "",
}
HELD_REASONS = frozenset({"JobHeldUser", "JobHeldAdmin"})


@dataclass(slots=True)
class Case:
    """One job before the court of eligibility. ``facts``: ``None`` as long as its script has not
    been read. ``closed``: why no job may leave at this time; empty: they may. ``asked``: by its
    user, as far as it has been read."""

    job: QueuedJob
    policy: BurstPolicy
    now: datetime
    wish: bool
    facts: ScriptFacts | None = None
    closed: str = ""
    asked: Directives = NONE
    targets: tuple[TargetView, ...] = ()

    @property
    def gpus(self) -> int:
        """Most of one job that any target takes."""
        return max((view.capabilities.max_gpus for view in self.targets), default=0)


def case_of(job: QueuedJob, snapshot: Snapshot, policy: BurstPolicy) -> Case:
    """One of the snapshot's jobs under this policy."""
    facts, now = snapshot.scripts.get(job.identity), snapshot.queue.taken_at
    return case(job, facts, policy, now, snapshot.closed, snapshot.targets)


def case(
    job: QueuedJob,
    facts: ScriptFacts | None,
    policy: BurstPolicy,
    now: datetime,
    closed: str = "",
    targets: tuple[TargetView, ...] = (),
) -> Case:
    """The same of any job."""
    asked = NONE if facts is None else facts.asked
    if job.comment and (words := job.directives):
        asked = together(_heard(directives(words), facts), asked)
    if asked is not NONE:
        asked = granted(asked, policy.modes)
        if facts is not None and asked is not facts.asked:
            facts = replace(facts, asked=asked)  # what the comment says beside the script
    wish = job.partition == policy.burst_partition
    return Case(job, policy, now, wish, facts, closed, asked, targets)


def _heard(theirs: Directives, facts: ScriptFacts | None) -> Directives:
    """A profile is chosen by the script alone: a comment that names another one is not heard, and
    who wrote it meant something."""
    app = theirs.application
    if facts is None or app in {"", facts.application}:
        return theirs
    return replace(theirs, application="", unread=(*theirs.unread, f"app={app} in a comment"))


@dataclass(frozen=True)
class Rule:
    """``setting``: the dotted path of what the site can say about it; empty: it can't. ``idle``:
    under this policy it has nothing to say of any job."""

    name: str
    setting: str
    objects: Callable[[Case], Objection | None]
    weighs: Callable[[Case], dict[str, str]]
    reads_script: bool = False
    idle: Callable[[BurstPolicy], bool] = lambda _: False


# --- what the queue shows


def _partition(case: Case) -> Objection | None:
    if case.job.in_any(case.policy.partitions) or case.wish:
        return None
    return Reason.OTHER_PARTITION, {"partition": case.job.partition}


def _kind(case: Case) -> Objection | None:
    job = case.job
    if job.het:
        return Reason.HETEROGENEOUS, {}
    if job.time_limit is None:
        return Reason.NO_TIME_LIMIT, {}
    shape = case.facts.shape if case.facts else None
    if shape is None:
        return (Reason.GPUS, {"gres": job.gres}) if job.gres and not case.gpus else None
    if not shape.gres:
        return None
    if shape.other_gres:
        return Reason.GPUS, {"gres": ", ".join(map(str, shape.other_gres))}
    if shape.gpus > case.gpus:
        return Reason.GPUS, {"gpus": str(shape.gpus), "max_gpus": str(case.gpus)}
    return None


def _user(case: Case) -> Objection | None:
    policy, job = case.policy, case.job
    if policy.users and job.identity.user not in policy.users:
        return Reason.OTHER_USER, {"user": job.identity.user}
    return None


def _account(case: Case) -> Objection | None:
    policy, job = case.policy, case.job
    if policy.accounts and job.account not in policy.accounts:
        return Reason.OTHER_ACCOUNT, {"account": job.account}
    return None


def _asked(case: Case) -> Objection | None:
    asked = case.asked
    if asked.mode is JobMode.NEVER:
        return Reason.USER_FORBIDS, {"mode": "never"}
    if asked.unread:
        return Reason.BAD_DIRECTIVE, {"unread": " ".join(asked.unread)}
    return None


def _size(case: Case) -> Objection | None:
    job, policy = case.job, case.policy
    if job.core_hours < policy.least_core_hours:
        return Reason.TOO_SMALL, _asks(case) | {"min_core_hours": f"{policy.least_core_hours:g}"}
    if policy.most_cores is not None and job.cpus > policy.most_cores:
        return Reason.TOO_LARGE, _asks(case) | {"max_cores": str(policy.most_cores)}
    if policy.longest is not None and (job.time_limit or policy.longest) > policy.longest:
        return Reason.TOO_LARGE, _asks(case) | {"max_time": str(policy.longest)}
    return None


def _waiting(case: Case) -> Objection | None:
    job = case.job
    if job.reason in HELD_REASONS or (job.priority == 0 and not case.wish):
        return Reason.HELD, {"reason": job.reason}
    if job.reason.startswith("Dependency"):
        return Reason.DEPENDENT, {"dependency": job.dependency}
    if not case.wish and job.reason not in case.policy.reasons:
        return Reason.NOT_WAITING, {"reason": job.reason}
    return None


def _age(case: Case) -> Objection | None:
    age = case.now - case.job.identity.submitted_at
    if not case.wish and age < case.policy.min_age:
        return Reason.TOO_YOUNG, {
            "age": f"{age.total_seconds():.0f}s",
            "min_age": f"{case.policy.min_age.total_seconds():.0f}s",
        }
    return None


def _window(case: Case) -> Objection | None:
    return (Reason.OUTSIDE_WINDOW, {"window": case.closed}) if case.closed else None


def _class(case: Case) -> Objection | None:
    return data.objection(case.job, case.policy.data, case.asked.classes)


# --- what its script says


def _script(case: Case) -> Objection | None:
    if case.facts is None:
        return Reason.SCRIPT_UNREAD, {}
    if not case.facts.present:
        return Reason.NO_SCRIPT, {}
    return None


def _application(case: Case) -> Objection | None:
    if case.facts is not None and case.facts.present and case.facts.application is None:
        return Reason.NO_APPLICATION, {}
    return None


# --- what each of them looks at


def _asks(case: Case) -> dict[str, str]:
    job = case.job
    return {
        "cpus": str(job.cpus), "time_limit": str(job.time_limit),
        "core_hours": f"{job.core_hours:g}",
    }  # fmt: skip


def _age_now(case: Case) -> dict[str, str]:
    age = case.now - case.job.identity.submitted_at
    return {"age": f"{age.total_seconds():.0f}s"}


def _classes(case: Case) -> dict[str, str]:
    found = data.classes(case.job, case.policy.data, case.asked.classes)
    return {"classes": ", ".join(known.name for known in found) or "none"}


RULES: tuple[Rule, ...] = (
    Rule("partition", "policy.partitions", _partition, lambda c: {"partition": c.job.partition}),
    Rule("kind", "", _kind, lambda c: {"time_limit": str(c.job.time_limit)}),
    Rule(
        "user", "policy.users", _user, lambda c: {"user": c.job.identity.user},
        idle=lambda policy: not policy.users,
    ),
    Rule(
        "account", "policy.accounts", _account, lambda c: {"account": c.job.account},
        idle=lambda policy: not policy.accounts,
    ),
    Rule("wish", "policy.modes", _asked, lambda c: {"mode": c.asked.mode.value}),
    Rule("waiting", "policy.reasons", _waiting, lambda c: {"reason": c.job.reason}),
    Rule("age", "policy.min_age", _age, _age_now, idle=lambda policy: not policy.min_age),
    Rule("window", "policy.windows", _window, lambda _: {}),
    Rule(
        "size", "policy.max_cores", _size, _asks,
        idle=lambda policy: not policy.least_core_hours
        and policy.most_cores is None and policy.longest is None,
    ),
    Rule("class", "policy.labels", _class, _classes),
    Rule("script", "", _script, lambda _: {}, reads_script=True),
    Rule(
        "application", "paths.applications", _application,
        lambda c: {"application": (c.facts.application if c.facts else None) or "none"},
        reads_script=True,
    ),
)  # fmt: skip


class Court:
    """All rules that have something to say under one policy, for any number of jobs."""

    def __init__(self, policy: BurstPolicy) -> None:
        active = [rule for rule in RULES if not rule.idle(policy)]
        self._seen = [rule.objects for rule in active if not rule.reads_script]
        self._all = self._seen + [rule.objects for rule in active if rule.reads_script]

    def objection(self, case: Case) -> Objection | None:
        """What the first rule says that keeps this job here."""
        return self._first(self._all, case)

    def before_reading(self, case: Case) -> Objection | None:
        """The same, by what can be known before its script has been read."""
        return self._first(self._seen, case)

    def _first(
        self, rules: list[Callable[[Case], Objection | None]], case: Case
    ) -> Objection | None:
        for rule in rules:
            found = rule(case)
            if found is not None:
                return found
        return None


def rulings(case: Case) -> tuple[Ruling, ...]:
    """What every rule says, in their order."""
    found = []
    for rule in RULES:
        why = rule.objects(case)
        numbers = rule.weighs(case) if why is None else why[1]
        setting = rule.setting if why is None else _decides(rule, why)
        place = case.policy.places.get(setting, "")
        found.append(Ruling(rule.name, None if why is None else why[0], numbers, setting, place))
    return tuple(found)


def _decides(rule: Rule, why: Objection) -> str:
    reason, numbers = why
    if reason is Reason.TOO_LARGE and "max_time" in numbers:
        return "policy.max_time"
    if numbers.get("window", "").startswith("blackout"):
        return "policy.blackouts"
    return _DECIDES.get(reason, rule.setting)
