"""``python -m tests.sim.hunt``: look for a defect in the burstd that is imported.

First one kill at every point of the rich story, then told stories, seeds, pairs of kills. One
JSON object says what broke and after how many runs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import burstd
from tests.sim.campaign import play, quiet
from tests.sim.defects.defect import CAMPAIGN, LANDING
from tests.sim.hostile import tries
from tests.sim.kills import REFERENCE, RICH, Run, Score, distinct, second_kills
from tests.sim.play import Play
from tests.sim.powercut import power_cuts
from tests.sim.told import stories

#: A run of any part: what it was, and what broke.
Runs = Iterator[tuple[str, list[str]]]


def campaign(seeds: int) -> Runs:
    """The parts in order of their price."""
    for script in (REFERENCE, RICH, replace(RICH, power_cut=True)):
        run = Run.from_the_beginning(script)
        yield "story", _played(run.play)
        for picture in distinct(run.pictures):
            yield "kill", _played(Run.after_a_kill(picture, pictured=False).play)
    for story in stories():
        yield "told", _played(Play(story).run)
    for seed in range(seeds):
        result = play(seed)
        yield f"seed {seed}", list(result.wrong)
    run = Run.from_the_beginning(REFERENCE)
    run.play()
    score: Score = second_kills(distinct(run.pictures))
    yield "two kills", score.wrong


def _played(run: Callable[[], list[str]]) -> list[str]:
    """A defect may break the engine so that a run ends in an error: found, too."""
    try:
        return run()
    except Exception as error:  # noqa: BLE001
        return [f"the engine itself: {error!r}"]


def landing(_seeds: int) -> Runs:
    """Hostile names and hands, then power cuts at every moment of a landing."""
    for name, wrong in tries():
        yield f"try: {name}", wrong
    yield from power_cuts()


PARTS: Mapping[str, Callable[[int], Runs]] = {CAMPAIGN: campaign, LANDING: landing}


def main(argv: list[str]) -> int:
    """0 if something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.hunt", description=__doc__)
    parser.add_argument("--by", choices=PARTS, default=CAMPAIGN)
    parser.add_argument("--seeds", type=int, default=1000)
    options = parser.parse_args(argv)
    quiet()
    runs, found = 0, ("", [""])
    for part, wrong in PARTS[options.by](options.seeds):
        runs += 1
        if wrong:
            found = (part, wrong)
            break
    told = {"by": found[0], "wrong": found[1][0], "runs": runs, "burstd": burstd.__file__}
    sys.stdout.write(json.dumps(told) + "\n")
    return 0 if found[0] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
