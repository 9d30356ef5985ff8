"""Of which classes a job's data are, and where they may go. Deny wins; users may only tighten."""

from __future__ import annotations

from collections.abc import Sequence

from burstd.domain.burst import Burst
from burstd.domain.classes import DataClass, DataRules
from burstd.domain.jobs import QueuedJob
from burstd.domain.plan import Objection, Reason
from burstd.domain.targets import TargetName

#: Of a class that nobody defined nothing may leave.
_NOWHERE: frozenset[TargetName] = frozenset()


def classes(job: QueuedJob, rules: DataRules, named: Sequence[str] = ()) -> list[DataClass]:
    """Those that the site's labels give it, or the one of unlabelled jobs; and those that its user
    has ``named``. One that the site does not know allows nothing."""
    return _with_theirs(_by_the_site(job, rules), rules, named)


def objection(job: QueuedJob, rules: DataRules, named: Sequence[str]) -> Objection | None:
    """What all its classes together say."""
    found = _by_the_site(job, rules)
    if not found:
        return Reason.UNLABELLED, {"account": job.account, "directory": job.directory}
    return _judged(found, rules, named)


def targets_of(found: Sequence[DataClass]) -> frozenset[TargetName] | None:
    """Where all of them may go; ``None``: anywhere."""
    limits = [known.targets for known in found if known.targets is not None]
    return frozenset.intersection(*limits) if limits else None


def forbidden(burst: Burst, rules: DataRules) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Classes that may not go where this burst goes, as ``kept_from`` has them."""
    return kept_from(burst.target, rules, *_whose(burst))


def within(burst: Burst, rules: DataRules) -> tuple[str, ...] | None:
    """Patterns of directories: of one the job's must be where links lead, too, for its data are of
    classes that may go where this burst goes by their path alone. ``None``: not by that alone."""
    whose = _whose(burst)
    mine = [one for one in rules.labels if one.speaks_of(*whose)]
    rest = rules.unlabelled
    if not all(label.paths for label in mine) or (rest and _may_go(rest, burst.target)):
        return None
    classes_of = ((label.paths, rules.named(label.to)) for label in mine)
    return tuple(
        glob
        for globs, known in classes_of
        if known and _may_go(known, burst.target)
        for glob in globs
    )


def _whose(burst: Burst) -> tuple[str, str, list[str]]:
    """What labels go by beside paths: user, account, and the partitions it was submitted to."""
    partition = burst.record.fields.get("partition", "") if burst.record else ""
    return burst.identity.user, burst.account, partition.split(",")


def _may_go(known: DataClass, target: TargetName) -> bool:
    return known.targets is None or target in known.targets


def kept_from(
    target: TargetName, rules: DataRules, user: str, account: str, partitions: Sequence[str]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Classes that may not go to this target, each with the patterns of paths that are of it: an
    input that lies there stays, wherever the job itself works."""
    found = []
    for label in rules.labels:
        known = rules.named(label.to) or DataClass(label.to, _NOWHERE)
        if (
            label.paths
            and label.speaks_of(user, account, partitions)
            and known.targets is not None
            and target not in known.targets
        ):
            found.append((known.name, label.paths))
    return tuple(found)


def _judged(site: list[DataClass], rules: DataRules, theirs: Sequence[str]) -> Objection | None:
    for name in theirs:
        if rules.named(name) is None:
            return Reason.UNKNOWN_CLASS, {"class": name}
    found = _with_theirs(site, rules, theirs)
    if (allowed := targets_of(found)) is not None and not allowed:
        return Reason.DATA_STAYS, {"classes": ", ".join(known.name for known in found)}
    return None


def _with_theirs(site: list[DataClass], rules: DataRules, theirs: Sequence[str]) -> list[DataClass]:
    if not theirs:
        return site
    known = [rules.named(name) or DataClass(name, _NOWHERE) for name in theirs]
    return site + [one for one in known if one not in site]


def _by_the_site(job: QueuedJob, rules: DataRules) -> list[DataClass]:
    found: list[DataClass] = []
    user, partitions = job.identity.user, job.partitions
    for label in rules.labels:
        if label.speaks_of(user, job.account, partitions) and label.lies(job.directory):
            known = rules.named(label.to) or DataClass(label.to, _NOWHERE)
            if known not in found:
                found.append(known)
    if not found and rules.unlabelled is not None:
        found.append(rules.unlabelled)
    return found
