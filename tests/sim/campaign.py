"""Many stories, on every core there is."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import structlog

from tests.sim.play import Play
from tests.sim.story import draw

#: Seeds that a worker plays before it reports.
BATCH = 5


@dataclass(frozen=True)
class Result:
    """What one seed gave. ``hits``: how often each act or fault fell on each stage."""

    seed: int
    wrong: tuple[str, ...]
    trace: str
    events: int
    hits: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def invariant(self) -> str:
        """The first that broke; empty: none did."""
        return self.wrong[0].partition(":")[0] if self.wrong else ""


def play(seed: int) -> Result:
    """One seed."""
    quiet()
    played = Play(draw(seed))
    try:
        wrong = played.run()
    except Exception as error:  # noqa: BLE001 - a campaign goes on, and tells
        wrong = [f"the campaign itself: {error!r}"]
    return Result(seed, tuple(wrong), played.trace, played.checker.event, played.hits)


def play_all(seeds: Iterable[int]) -> list[Result]:
    """Seeds one after the other, in this process."""
    return [play(seed) for seed in seeds]


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


def run(
    first: int,
    count: int,
    jobs: int | None = None,
    tell: Callable[[Result], object] = lambda _result: None,
    *,
    until_wrong: bool = False,
) -> list[Result]:
    """Seeds from ``first`` on, in order; with ``until_wrong`` not many after one that breaks."""
    last = first + count
    batches = [range(n, min(n + BATCH, last)) for n in range(first, last, BATCH)]
    found: list[Result] = []
    # Not forked: a test's own threads would not be there.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs or cores(), context, initializer=quiet) as pool:
        for results in pool.map(play_all, batches):
            for result in results:
                tell(result)
                found.append(result)
            if until_wrong and any(result.wrong for result in results):
                pool.shutdown(cancel_futures=True)
                break
    return found


def quiet() -> None:
    """burstd's own log lines are not what is looked at here."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
