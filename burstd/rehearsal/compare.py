"""One history under several rules: the site's own, and what it is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from burstd.rehearsal.easy import Run, rehearse
from burstd.rehearsal.history import History
from burstd.rehearsal.measures import Row, accounts, measure
from burstd.rehearsal.strategies import DELAY, THETA, Clairvoyant, Steered, everything, nothing

SHAKE = 60  #: seconds by which a shaken job comes earlier or later at most


@dataclass(frozen=True)
class Rehearsed:
    """One rule's figures, and the runs that they are of."""

    row: Row
    runs: Sequence[Run]

    def as_json(self) -> dict[str, object]:
        """The row, with one of its own for each account."""
        return {
            **self.row.as_json(),
            "accounts": [account.as_json() for account in accounts(self.runs)],
        }


def compare(
    history: History, strategy: str, share: float, theta: float = THETA
) -> Iterator[Rehearsed]:
    """``none``: nobody leaves; ``everything``: who would wait leaves, at any cost; ``clairvoyant``:
    the best rule under the same budget, knowing how long each job will run; and the strategy."""
    yield _rehearsed("none", rehearse(history, nothing, DELAY))
    yield _rehearsed("everything", rehearse(history, everything, DELAY))
    yield steered("clairvoyant", Steered(history, "marginal", share, Clairvoyant(), theta))
    yield steered(strategy, Steered(history, strategy, share, theta=theta))


def steered(name: str, rule: Steered) -> Rehearsed:
    """Its history under this rule."""
    return _rehearsed(name, rehearse(rule.history, rule, DELAY, rule.started))


def _rehearsed(name: str, runs: Sequence[Run]) -> Rehearsed:
    return Rehearsed(measure(name, runs), runs)


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
