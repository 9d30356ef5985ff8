"""Seeded stories: the invariants hold in all of them, and a seed is the same story everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.acts import ACTS
from tests.sim.campaign import Result, play, run
from tests.sim.faults import FAULTS

ROOT = Path(__file__).parents[2]
QUICK, ALL = 100, 1000


def broken(results: list[Result]) -> dict[int, str]:
    return {result.seed: result.wrong[0] for result in results if result.wrong}


def test_the_invariants_hold_in_a_hundred_stories() -> None:
    assert {} == broken(run(0, QUICK))


@pytest.mark.long
def test_the_invariants_hold_in_a_thousand_stories_and_everything_happens_in_them() -> None:
    results = run(QUICK, ALL - QUICK)
    happened = {name for result in results for name, _stage in result.hits}

    assert {} == broken(results)
    assert {*ACTS, *FAULTS} == happened


def test_a_seed_is_the_same_story_in_every_process() -> None:
    """Whatever order the interpreter's sets and dictionaries of that process have."""
    program = "import sys; from tests.sim.campaign import play_all; "
    program += "sys.stdout.write(' '.join(r.trace for r in play_all(range(6))))"
    traces = []
    for hashing in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True,
            env={**os.environ, "PYTHONHASHSEED": hashing, "PYTHONPATH": f"{ROOT}:{ROOT}/plugins"},
            timeout=120,
        )  # fmt: skip
        traces.append(done.stdout.split())

    assert traces[0] == traces[1] == [play(seed).trace for seed in range(6)]
    assert 6 == len(set(traces[0]))
