"""What a rehearsal came to, in figures that can be compared."""

from __future__ import annotations

from collections.abc import Sequence
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
        return {
            name: round(value, 6 if name == "cloud_share" else 3)
            if isinstance(value, float)
            else value
            for name, value in asdict(self).items()
        }


def measure(name: str, runs: Sequence[Run]) -> Row:
    """Of at least one run. The weighted wait is that of a core-hour, not of a job."""
    waits = sorted(run.wait for run in runs)
    hours = sum(run.job.core_hours for run in runs)
    away = [run for run in runs if run.away]
    bought = sum((run.job.cores * (run.job.ran + BILLED) / 3600 for run in away), 0.0)
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
