"""Of which classes a job's data are, and where they may go. Deny wins; users may only tighten."""

from __future__ import annotations

from collections.abc import Sequence

from burstd.domain.classes import DataClass, DataRules
from burstd.domain.jobs import QueuedJob
from burstd.domain.plan import Objection, Reason
from burstd.domain.targets import TargetName

#: Of a class that nobody defined nothing may leave.
_NOWHERE: frozenset[TargetName] = frozenset()


def classes(job: QueuedJob, rules: DataRules, named: Sequence[str] = ()) -> list[DataClass]:
    """Those that the site's labels give it, or the one of unlabelled jobs; and those that its user
    names, in its comment (``burst:class=NAME``) or its script (``named``). One that the site does
    not know allows nothing."""
    found = _labelled(job, rules)
    if not found and rules.unlabelled is not None:
        found.append(rules.unlabelled)
    theirs = [*_in_comment(job), *named]
    known = [rules.named(name) or DataClass(name, _NOWHERE) for name in theirs]
    return found + [one for one in known if one not in found]


def site_objection(job: QueuedJob, rules: DataRules) -> Objection | None:
    """What the site says, before anybody has read the script."""
    if rules.unlabelled is None and not _labelled(job, rules):
        return Reason.UNLABELLED, {"account": job.account, "directory": job.directory}
    return objection(job, rules, ())


def objection(job: QueuedJob, rules: DataRules, named: Sequence[str]) -> Objection | None:
    """What all its classes together say."""
    if not (named or rules.labels or job.comment):  # most jobs of most sites
        default = rules.unlabelled
        if default is None or default.targets is None:
            return None
    for name in (*_in_comment(job), *named):
        if rules.named(name) is None:
            return Reason.UNKNOWN_CLASS, {"class": name}
    found = classes(job, rules, named)
    if (allowed := targets_of(found)) is not None and not allowed:
        return Reason.DATA_STAYS, {"classes": ", ".join(known.name for known in found)}
    return None


def targets_of(found: Sequence[DataClass]) -> frozenset[TargetName] | None:
    """Where all of them may go; ``None``: anywhere."""
    limits = [known.targets for known in found if known.targets is not None]
    return frozenset.intersection(*limits) if limits else None


def _labelled(job: QueuedJob, rules: DataRules) -> list[DataClass]:
    found: list[DataClass] = []
    for label in rules.labels:
        if label.covers(job.identity.user, job.account, job.partitions, job.directory):
            known = rules.named(label.to) or DataClass(label.to, _NOWHERE)
            if known not in found:
                found.append(known)
    return found


def _in_comment(job: QueuedJob) -> list[str]:
    return [wish[6:] for wish in job.wishes if wish.startswith("class=")]
