"""A thousand lists of results by a far end that means harm, or has gone wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.sim.trees import tried

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def quiet() -> Iterator[None]:
    """What the agent tells its job's user goes nowhere."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    yield
    os.dup2(kept, 2)
    os.close(kept)
    os.close(nowhere)


def wrong(seeds: range) -> dict[int, list[str]]:
    return {seed: found for seed in seeds if (found := tried(seed))}


def test_no_list_of_results_does_harm_or_keeps_a_good_one_from_its_place() -> None:
    assert {} == wrong(range(200))


@pytest.mark.long
def test_nor_does_one_of_a_thousand() -> None:
    assert {} == wrong(range(200, 1200))
