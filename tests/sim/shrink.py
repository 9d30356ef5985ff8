"""The smallest story that still goes wrong in the same way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.sim.play import Play
from tests.sim.story import Story


def verdict(story: Story) -> str:
    """The invariant that breaks first; empty: none does."""
    wrong = Play(story).run()
    return wrong[0].partition(":")[0] if wrong else ""


def shrunk(story: Story) -> Story:
    """Leave out whatever is not needed: moves first, then what users want."""
    sort = verdict(story)
    found = True
    while sort and found:
        found = False
        for smaller in _smaller(story):
            if verdict(smaller) == sort:
                story, found = smaller, True
                break
    return story


def _smaller(story: Story) -> Iterator[Story]:
    for n in reversed(range(len(story.moves))):
        yield replace(story, moves=story.moves[:n] + story.moves[n + 1 :])
    for n in reversed(range(len(story.orders))):
        if not any(order.after and order.after[1] >= n for order in story.orders):
            yield replace(story, orders=story.orders[:n] + story.orders[n + 1 :])
