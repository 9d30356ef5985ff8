"""What a rehearsal came to, in figures that can be compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from burstd.rehearsal.easy import Run

SHORT = 600  #: seconds; a job's slowdown is not blown up below that (Feitelson and Rudolph, 1998)
BILLED = 120  #: seconds that a target bills for beside the job's own


@dataclass(frozen=True)
class Row:
    """One strategy's figures. Times in seconds; ``cloud_share``: of all core-hours that ran."""

    name: str
    jobs: int
    burst_jobs: int
    cloud_core_hours: float
    cloud_share: float
    mean_wait_s: float
    median_wait_s: float
    p95_wait_s: float
    weighted_wait_s: float
    mean_bounded_slowdown: float

    def as_json(self) -> dict[str, object]:
        """Rounded to what the figures are worth."""
        return _rounded(asdict(self))


@dataclass(frozen=True)
class Account:
    """What one account's jobs came to. Times in seconds; "": those of no known account."""

    account: str
    jobs: int
    burst_jobs: int
    core_hours: float
    cloud_core_hours: float
    mean_wait_s: float
    p95_wait_s: float

    def as_json(self) -> dict[str, object]:
        """Rounded to what the figures are worth."""
        return _rounded(asdict(self))


def accounts(runs: Sequence[Run]) -> list[Account]:
    """One row an account, the largest first."""
    of: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        of[run.job.account].append(run)
    rows = [_account(name, its) for name, its in of.items()]
    return sorted(rows, key=lambda row: (-row.core_hours, row.account))


def _account(name: str, runs: Sequence[Run]) -> Account:
    waits = sorted(run.wait for run in runs)
    away = [run for run in runs if run.away]
    return Account(
        name,
        len(runs),
        len(away),
        sum(run.job.core_hours for run in runs),
        _bought(away),
        sum(waits) / len(waits),
        quantile(waits, 0.95),
    )


def measure(name: str, runs: Sequence[Run]) -> Row:
    """Of at least one run. The weighted wait is that of a core-hour, not of a job."""
    waits = sorted(run.wait for run in runs)
    hours = sum(run.job.core_hours for run in runs)
    away = [run for run in runs if run.away]
    bought = _bought(away)
    weighted = sum(run.wait * run.job.core_hours for run in runs)
    return Row(
        name,
        len(runs),
        len(away),
        bought,
        bought / hours,
        sum(waits) / len(waits),
        quantile(waits, 0.5),
        quantile(waits, 0.95),
        weighted / hours,
        sum(map(_slowdown, runs)) / len(runs),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """By linear interpolation between the two values around it (Hyndman and Fan's type 7)."""
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _slowdown(run: Run) -> float:
    ran = max(run.job.ran, SHORT)
    return max(1.0, (run.wait + run.job.ran) / ran)


def _bought(away: Sequence[Run]) -> float:
    return sum((run.job.cores * (run.job.ran + BILLED) / 3600 for run in away), 0.0)


def _rounded(figures: Mapping[str, object]) -> dict[str, object]:
    return {
        name: round(value, 6 if name == "cloud_share" else 3) if isinstance(value, float) else value
        for name, value in figures.items()
    }
