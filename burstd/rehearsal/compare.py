"""One history under several rules: the site's own, and what it is compared with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from burstd.rehearsal.easy import rehearse
from burstd.rehearsal.history import History
from burstd.rehearsal.measures import Row, measure
from burstd.rehearsal.strategies import DELAY, THETA, Clairvoyant, Steered, everything, nothing

SHAKE = 60  #: seconds by which a shaken job comes earlier or later at most


def compare(history: History, strategy: str, share: float, theta: float = THETA) -> Iterator[Row]:
    """``none``: nobody leaves; ``everything``: who would wait leaves, at any cost; ``clairvoyant``:
    the best rule under the same budget, knowing how long each job will run; and the strategy."""
    yield measure("none", rehearse(history, nothing, DELAY))
    yield measure("everything", rehearse(history, everything, DELAY))
    yield _steered("clairvoyant", Steered(history, "marginal", share, Clairvoyant(), theta))
    yield _steered(strategy, Steered(history, strategy, share, theta=theta))


def _steered(name: str, rule: Steered) -> Row:
    return measure(name, rehearse(rule.history, rule, DELAY, rule.started))


def shaken(history: History, seed: int) -> History:
    """The same with each submission moved a little: a result that hangs on one log's accidents
    does not survive it (Tsafrir et al., *Instability in parallel job scheduling simulation*,
    IPDPS 2007)."""
    dice = Random(seed)  # noqa: S311 - the same for the same seed
    jobs = [
        replace(job, submitted=job.submitted + dice.randint(-SHAKE, SHAKE)) for job in history.jobs
    ]
    jobs.sort(key=lambda job: (job.submitted, job.number))
    return replace(history, jobs=tuple(jobs))
