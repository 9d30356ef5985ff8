"""A year-round CAE workload of our own, for who has no log of his own to rehearse with.

Shapes after Lublin and Feitelson (JPDC 2003): log-uniform sizes, mostly powers of two; run times
spread over four orders of magnitude; arrivals with a daily and a weekly cycle. Each user has a few
applications and runs each of them many times alike, and asks for a round limit that is too long.
"""

from __future__ import annotations

import math
from random import Random

from burstd.rehearsal.history import History, PastJob

LIMITS = (1800, 3600, 2 * 3600, 4 * 3600, 8 * 3600, 24 * 3600, 72 * 3600)  #: as users ask for them
DAY = 86400


def workload(
    seed: int, cores: int = 2048, days: int = 60, load: float = 0.85, longest: float = 2 * DAY
) -> History:
    """The same for the same seed. ``load``: of the whole cluster, on average. ``longest``: seconds
    that any application typically runs."""
    dice = Random(seed)  # noqa: S311 - a workload, not a secret
    habits = [_habit(dice, cores, longest) for _ in range(120)]
    jobs: list[PastJob] = []
    wanted, had = load * cores * days * DAY, 0.0
    while had < wanted:
        user, application, width, typical = dice.choice(habits)
        for _ in range(dice.choice((1, 1, 1, 2, 4, 8, 20))):  # a study of some variants
            ran = max(30, int(typical * dice.lognormvariate(0, 0.35)))
            limit = next((limit for limit in LIMITS if limit > ran * 1.3), LIMITS[-1])
            ran = min(ran, limit)
            at = _moment(dice, days)
            jobs.append(PastJob(len(jobs), at, width, limit, ran, user, "", application, ""))
            had += width * ran
    jobs.sort(key=lambda job: (job.submitted, job.number))
    return History(f"generated {seed}", cores, tuple(jobs))


def _habit(dice: Random, cores: int, longest: float) -> tuple[str, str, int, float]:
    width = 2 ** dice.randint(2, int(math.log2(cores)) - 2)
    typical = math.exp(dice.uniform(math.log(300), math.log(longest)))
    return f"user{dice.randint(1, 40)}", dice.choice(("crash", "cfd", "nvh")), width, typical


def _moment(dice: Random, days: int) -> int:
    """More by day than by night, and less at the weekend."""
    while True:
        at = dice.uniform(0, days * DAY)
        hour, day = at % DAY / 3600, int(at // DAY) % 7
        likely = (1.0 if 8 <= hour <= 18 else 0.25) * (0.3 if day >= 5 else 1.0)
        if dice.random() < likely:
            return int(at)
