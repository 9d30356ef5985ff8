"""A line with a rate is shared fairly, by weight, and nothing of it lies idle."""

from __future__ import annotations

import math
import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burstd.agent.api import Away
from burstd.agent.pace import LONGEST, Pace
from burstd.api.lines import SILENT, Lines
from burstd.core.shares import LEAST, Flow, shares
from burstd.domain.burst import BurstId

RATE = 1e8
NOW = datetime(2030, 1, 15, tzinfo=UTC)
flows = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=2).map(BurstId),
    st.builds(
        Flow, st.sampled_from([1.0, 2.0, 4.0]), st.one_of(st.just(math.inf), st.floats(1e5, 2e8))
    ),
    min_size=1,
    max_size=12,
)


@settings(deadline=None)
@given(flows)
def test_all_of_the_line_is_given_and_no_more(found: dict[BurstId, Flow]) -> None:
    given = shares(RATE, found)
    assert found.keys() == given.keys()
    assert RATE == pytest.approx(sum(given.values()))


@settings(deadline=None)
@given(flows)
def test_who_wants_more_has_no_less_than_anybody_by_weight(found: dict[BurstId, Flow]) -> None:
    given = shares(RATE, found)
    hungry = [k for k, flow in found.items() if given[k] < flow.wants * 0.999]
    for key in hungry:
        for other, flow in found.items():
            mine, theirs = given[key] / found[key].weight, given[other] / flow.weight
            assert mine >= theirs * 0.999


@settings(deadline=None)
@given(flows)
def test_nobody_gets_less_than_both_its_want_and_its_part(found: dict[BurstId, Flow]) -> None:
    total = sum(flow.weight for flow in found.values())
    for key, share in shares(RATE, found).items():
        assert share >= min(found[key].wants, RATE * found[key].weight / total) * 0.999


def test_many_on_a_thin_line_get_the_least_that_keeps_a_conversation() -> None:
    given = shares(1e5, {BurstId(str(n)): Flow(1) for n in range(50)})
    assert {LEAST} == set(given.values())


def test_inputs_come_before_live_files_and_those_before_results() -> None:
    given = shares(7e6, {BurstId("in"): Flow(4), BurstId("live"): Flow(2), BurstId("out"): Flow(1)})
    assert [4e6, 2e6, 1e6] == list(given.values())


# --- over time


def test_who_uses_little_leaves_the_rest_to_others_and_who_is_silent_all_of_it() -> None:
    lines, now = Lines(), NOW
    one, two = BurstId("one"), BurstId("two")
    assert RATE == lines.share("line", RATE, one, 1, 0, now)
    assert RATE / 2 == lines.share("line", RATE, two, 1, 0, now)
    now += timedelta(seconds=2)
    assert RATE / 2 == lines.share("line", RATE, one, 1, round(RATE), now)  # it used all
    small = lines.share("line", RATE, two, 1, round(0.02 * RATE), now)
    assert small < RATE / 4
    now += timedelta(seconds=2)
    assert 0.9 * RATE < lines.share("line", RATE, one, 1, round(RATE), now)
    assert RATE / 2 == lines.share("line", RATE, two, 1, round(2 * small), now)  # more after all
    assert RATE == lines.share("other", RATE, two, 1, 0, now)
    now += SILENT + timedelta(seconds=1)
    assert RATE == lines.share("line", RATE, one, 1, round(RATE), now)


class Clock:
    """A clock that sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.longest = 1000.0, 0.0
        monkeypatch.setattr("burstd.agent.pace.time.monotonic", lambda: self.now)
        monkeypatch.setattr("burstd.agent.pace.time.sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.longest = max(self.longest, seconds)
        self.now += seconds


@pytest.mark.parametrize("block", [1000, 10**6, 4 * 2**20])
def test_a_pace_is_kept_whatever_the_size_of_the_blocks(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    clock, told = Clock(monkeypatch), list[int]()

    def share(moved: int) -> float:
        told.append(moved)
        return 10e6

    pace, began, count = Pace(share), clock.now, 100_000_000 // block
    for _ in range(count):
        pace(block)
    assert count * block / 10e6 == pytest.approx(clock.now - began, abs=1)
    assert count * block - sum(told) <= 2 * 10e6 + 2 * block  # all but the last two seconds


def test_without_a_rate_nobody_waits_and_no_wait_is_longer_than_the_far_ends_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    free = Pace(lambda _moved: None)
    for _ in range(100):
        free(10**9)
    assert 1000.0 == clock.now
    thin = Pace(lambda _moved: 65536.0)
    thin(64 * 2**20)
    thin(1)
    assert LONGEST == clock.longest


def test_who_waits_for_many_bytes_keeps_nobody_from_asking() -> None:
    """Six packs that go into a bucket at once must not keep the line's own words."""
    sleeping, awake = threading.Event(), threading.Event()

    def sleep(seconds: float) -> None:
        if seconds > 5:
            sleeping.set()
            assert awake.wait(20)

    with pytest.MonkeyPatch().context() as patched:
        patched.setattr("burstd.agent.pace.time.sleep", sleep)
        pace = Pace(lambda _moved: 1e6)
        pack = threading.Thread(target=pace, args=(10_000_000,))
        pack.start()
        assert sleeping.wait(20)
        assert pace._lock.acquire(timeout=5)
        pace._lock.release()
        awake.set()
        pack.join()


def test_while_burstd_is_away_the_last_rate_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, answers = Clock(monkeypatch), [1e6]

    def share(_moved: int) -> float:
        if not answers:
            raise Away("it restarts")
        return answers.pop()

    pace, began = Pace(share), clock.now
    for _ in range(100):
        pace(100_000)
    assert 10 == pytest.approx(clock.now - began, abs=1)


@pytest.mark.parametrize(
    "said", [-(10**12), -1, 10**400], ids=["far too few", "too few", "far too many"]
)
def test_no_odd_word_of_one_gives_others_more_than_the_line_has(said: int) -> None:
    lines, at = Lines(), NOW
    names = [BurstId(name) for name in "abcd"]
    for moved in (0, int(RATE), said):
        at += timedelta(seconds=2)
        first = lines.share("wan", RATE, names[0], 1, moved, at)
        others = [lines.share("wan", RATE, name, 1, int(RATE), at) for name in names[1:]]
    assert RATE * 1.001 >= first + sum(others)
    assert 0 < first <= RATE
