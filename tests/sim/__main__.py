"""``python -m tests.sim``: seeded stories on burstd's engine in a simulated world."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.sim.campaign import Result, quiet, run
from tests.sim.play import Play
from tests.sim.shrink import shrunk
from tests.sim.story import Story, draw

log = logging.getLogger("tests.sim")
SHOWN = 30  #: seeds that broke something
EVERY = 100  #: seeds between two log lines where there is no terminal


def main(argv: list[str]) -> int:
    """0 if every invariant held in every seed."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many (1000)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first of them (0)")
    parser.add_argument("--jobs", type=int, help="processes (as many as cores)")
    parser.add_argument("--json", action="store_true", help="one JSON object, and nothing else")
    parser.add_argument("--seed", type=int, help="one only")
    parser.add_argument("--trace", action="store_true", help="with --seed: every event of it")
    parser.add_argument("--shrink", action="store_true", help="with --seed: its smallest form")
    options = parser.parse_args(argv)
    quiet()
    if options.seed is not None:
        return one(options.seed, trace=options.trace, smallest=options.shrink)
    began = time.monotonic()
    with progress(options.seeds, plain=options.json) as tell:
        results = run(options.first, options.seeds, options.jobs, tell)
    took = time.monotonic() - began
    wrong = [result for result in results if result.wrong]
    if options.json:
        sys.stdout.write(json.dumps(summary(results, took)) + "\n")
    else:
        figures = f"{len(results)} seeds in {took:.0f} s ({len(results) / took:.1f}/s)"
        sys.stdout.write(f"{figures}, {len(wrong)} broke an invariant\n")
        for result in wrong[:SHOWN]:
            print_line(f"seed {result.seed}: {result.wrong[0]}")
        if wrong:
            sys.stdout.write(f"replay: python -m tests.sim --seed {wrong[0].seed} --trace\n")
    return 1 if wrong else 0


def one(seed: int, *, trace: bool, smallest: bool) -> int:
    """Play one seed and say what came of it."""
    story = draw(seed)
    if smallest:
        story = shrunk(story)
    play = Play(story, (lambda line: print_line(line)) if trace else None)
    for line in told(story):
        print_line(line)
    wrong = play.run()
    print_line(f"{play.checker.event} events, trace {play.trace}")
    for violation in wrong:
        print_line(f"WRONG {violation}")
    return 1 if wrong else 0


def told(story: Story) -> Iterator[str]:
    """A story in words."""
    policy = story.policy
    yield (
        f"seed {story.seed}: {story.turns} turns of {story.seconds} s, budget {policy.budget}, "
        f"at most {policy.max_open_bursts} open, from an age of {policy.min_age.seconds} s"
    )
    for number, order in enumerate(story.orders):
        needs = f" after {order.after[0]} of order {order.after[1]}" if order.after else ""
        more = f"{'array ' if order.tasks else ''}{dict(order.fields)}"
        yield (
            f"  order {number}: {order.user} submits {order.name} in turn {order.turn} to "
            f"{order.partition}{needs}, {more}, ends with {order.payload.code} after "
            f"{order.payload.seconds} s"
        )
    yield from (f"  {move}" for move in story.moves)


def print_line(line: str) -> None:
    """To standard output."""
    sys.stdout.write(f"{line}\n")


def summary(results: list[Result], took: float) -> dict[str, object]:
    """The campaign as JSON."""
    hits: Counter[str] = Counter()
    for result in results:
        for (name, _stage), count in result.hits.items():
            hits[name] += count
    return {
        "ok": not any(result.wrong for result in results),
        "seeds": len(results),
        "seconds": round(took, 1),
        "events": sum(result.events for result in results),
        "happened": dict(sorted(hits.items())),
        "wrong": [{"seed": r.seed, "what": list(r.wrong)} for r in results if r.wrong],
    }


class Tell(Protocol):
    """Hears of each result."""

    def __call__(self, result: Result) -> None: ...


@contextmanager
def progress(total: int, *, plain: bool) -> Iterator[Tell]:
    """A bar on a terminal, a line now and then elsewhere."""
    if plain or not sys.stderr.isatty():
        logging.basicConfig(level=logging.WARNING if plain else logging.INFO, stream=sys.stderr)
        done: list[Result] = []

        def line(result: Result) -> None:
            done.append(result)
            if len(done) % EVERY == 0:
                log.info("%d of %d, %d wrong", len(done), total, sum(bool(r.wrong) for r in done))

        yield line
        return
    columns = (
        TextColumn("seeds"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[wrong]} wrong"),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total, wrong=0)

        def step(result: Result) -> None:
            wrong = bar.tasks[0].fields["wrong"] + bool(result.wrong)
            bar.update(task, advance=1, wrong=wrong)

        yield step


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
