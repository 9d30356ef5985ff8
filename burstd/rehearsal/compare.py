"""One history under several rules: the site's own, and what it is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from burstd.rehearsal.decided import Decided, Rule
from burstd.rehearsal.easy import Cluster, Run, rehearse
from burstd.rehearsal.history import History
from burstd.rehearsal.measures import Row, accounts, measure
from burstd.rehearsal.rules import DELAY, THETA, budgeted

SHAKE = 60  #: seconds by which a shaken job comes earlier or later at most


@dataclass(frozen=True)
class Rehearsed:
    """One rule's figures, and the runs that they are of. ``decided``: how, where it was by rule."""

    row: Row
    runs: Sequence[Run]
    decided: Decided | None = None

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
    yield from bounds(history, DELAY)
    yield decided("clairvoyant", history, budgeted(history, "marginal", share, theta), knows=True)
    yield decided(strategy, history, budgeted(history, strategy, share, theta))


def bounds(history: History, delay: int) -> Iterator[Rehearsed]:
    """What costs nothing, and what spares most."""
    for name, choose in (("none", _nobody), ("everything", _everybody)):
        runs = rehearse(history, choose, delay)
        yield Rehearsed(measure(name, runs), runs)


def decided(name: str, history: History, rule: Rule, *, knows: bool = False) -> Rehearsed:
    """Its history under this rule."""
    chooser = Decided(history, rule, knows=knows)
    runs = rehearse(history, chooser, rule.delay, chooser.started, rule.cycle)
    return Rehearsed(measure(name, runs), runs, chooser)


def _everybody(cluster: Cluster) -> Sequence[int]:
    """Who can't start at once leaves."""
    return range(len(cluster.waiting))


def _nobody(_cluster: Cluster) -> Sequence[int]:
    return ()


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
