"""Reports of agents: which are heard at which stage, how long they may be, and whom they wake."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from burstd.agent.api import Denied
from burstd.api import bodies
from burstd.api.figures import figures
from burstd.api.manifest import manifest
from burstd.api.reports import LARGEST, MOST, Told, sparse
from burstd.domain.burst import Stage
from burstd.testing.simulators import in_file
from tests.flow.scene import Scene
from tests.flow.test_review_api import ME, Counter, opened, quarantine, serve

FILES = [{"path": "/w/beam.inp", "size": 3, "blake3": "ab", "mtime_ns": 0, "mode": 0o644}]
SENT = {"files": FILES, "marks": {}, "roots": ["/w"], "bytes": 3, "secret": "5e"}


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Counter]:
    yield from serve(tmp_path, ME, Scene(database=in_file(tmp_path / "ledger.db")))


def tell(counter: Counter, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """What is answered; nothing where it was kept."""
    route = f"/v1/standins/{counter.scene.burst().id}/reports"
    return counter.api.post(route, {"kind": kind, "body": body})


def kinds(counter: Counter) -> frozenset[str]:
    return counter.scene.store.said(counter.scene.burst().id)


def woken(counter: Counter) -> bool:
    was = counter.desk.nudge.is_set()
    counter.desk.nudge.clear()
    return was


# --- when


def test_behind_its_end_nothing_is_heard_and_no_agent_is_stopped_by_that(mine: Counter) -> None:
    mine.scene.finish()
    burst, store = mine.scene.burst(), mine.scene.store
    before, left = store.reports(burst.id), manifest(mine.desk, burst)
    head = store.head()
    woken(mine)
    for kind in MOST:
        assert "settled" in tell(mine, kind, {"files": [], "bytes": 2**62})["unheard"]
    assert (before, left) == (store.reports(burst.id), manifest(mine.desk, burst))
    assert (head, False) == (store.head(), woken(mine))
    assert figures(mine.desk)


@pytest.mark.parametrize(
    ("stage", "then"),
    [
        (Stage.CLAIMING, set()),
        (Stage.STAGING_IN, {"leaving", "staged_in", "refused"}),
        (Stage.RUNNING, {"over"}),
        (Stage.STAGING_OUT, {"staged_out", "oversized", "remains"}),
    ],
)
def test_what_is_heard_at_which_stage(mine: Counter, stage: Stage, then: set[str]) -> None:
    heard = {"recalled", "notes", "moving", "came", "pulled"} | then
    if stage is Stage.STAGING_OUT:
        mine.scene.until(Stage.RUNNING)
        mine.scene.turn()
        mine.scene.agents.asleep = True
        mine.scene.target.finish_all()
    mine.scene.until(stage)
    assert heard == {kind for kind in MOST if not tell(mine, kind, {"bytes": 7, "mark": kind})}
    reports = mine.scene.store.reports(mine.scene.burst().id)
    assert heard == {kind for kind, one in reports.items() if one.body.get("mark") == kind}


def test_inputs_that_had_left_when_their_job_was_asked_back_are_on_record(mine: Counter) -> None:
    mine.scene.link.cut = True
    mine.scene.until(Stage.STAGING_IN)
    quarantine(mine.scene, "its agent still sends")
    assert {} == tell(mine, "leaving", {"files": {"/home/me/old.inp": 5}})
    assert "quarantined" in tell(mine, "leaving", {"files": {}})["unheard"]
    assert {} == tell(mine, "staged_in", SENT)
    left = manifest(mine.desk, mine.scene.burst())
    assert (FILES, ["/home/me/old.inp"]) == (left["files"], [one["path"] for one in left["begun"]])
    assert "quarantined" in tell(mine, "staged_in", {**SENT, "files": []})["unheard"]
    assert FILES == manifest(mine.desk, mine.scene.burst())["files"]


def test_the_same_word_again_is_no_news_and_wakes_nobody(mine: Counter) -> None:
    mine.scene.until(Stage.STAGING_IN)
    woken(mine)
    tell(mine, "staged_in", SENT)
    assert woken(mine)
    head = mine.scene.store.head()
    tell(mine, "staged_in", SENT)
    assert (head, False) == (mine.scene.store.head(), woken(mine))


def test_who_was_told_to_end_may_ask_for_a_look_again_and_again(mine: Counter) -> None:
    """Slurm kills it soon (KillWait), and may show its end later than it has heard of it."""
    mine.scene.until(Stage.RUNNING)
    for kind in ("recalled", "over"):
        for _ in range(2):
            woken(mine)
            tell(mine, kind, {"restarts": 0})
            assert woken(mine)


# --- how long


@pytest.mark.parametrize("kind", ["came", "moving", "over", "recalled", "notes", "oversized"])
def test_only_lists_are_long(mine: Counter, kind: str) -> None:
    mine.scene.until(Stage.RUNNING)
    with pytest.raises(Denied, match="too long") as caught:
        tell(mine, kind, {"x": "y" * 2**17})
    assert 413 == caught.value.status
    assert kind not in kinds(mine)


def test_a_long_list_comes_and_is_given_back_as_it_was(mine: Counter) -> None:
    mine.scene.until(Stage.STAGING_IN)
    name = "L\udcfcfter, [x] {y}, a=1,b=2,c=3,d=4"
    many = [
        {"path": f"/w/{name}/{n}", "size": n, "blake3": "ab" * 32, "mtime_ns": 10**18, "mode": 420}
        for n in range(20_000)
    ]
    marks = {f"/w/{name}/{n}": [n, 10**18 + n, n] for n in range(20_000)}
    body = {**SENT, "files": many, "marks": marks}
    assert {} == tell(mine, "staged_in", body)
    burst = mine.scene.burst().id
    assert body == mine.api.get(f"/v1/standins/{burst}/reports/staged_in")


@pytest.mark.parametrize("filler", [b"[],", b"{},", b'"",', b"1,", b'"a",', b'{"a":0},'])
def test_what_is_no_list_of_files_is_refused_before_it_becomes_gigabytes(filler: bytes) -> None:
    inner = filler * (2 * 2**20 // len(filler))
    with pytest.raises(ValueError, match="no list of files"):
        Told.read(b'{"kind": "staged_in", "body": {"files": [' + inner + b"0]}}")


def test_long_reports_are_taken_one_after_another(mine: Counter) -> None:
    """Each is many times its length while it is read."""
    mine.scene.until(Stage.STAGING_IN)
    raw = json.dumps({"kind": "staged_in", "body": {"x": "y" * 2**20}}).encode()
    route = f"/v1/standins/{mine.scene.burst().id}/reports"
    at_once, most = 0, 0
    store, real = mine.scene.store, mine.scene.store.report

    def report(*said: Any) -> bool:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.05)
        at_once -= 1
        return real(*said)

    object.__setattr__(mine.scene.world, "store", _With(store, report))
    done: list[int] = []
    threads = [
        threading.Thread(target=lambda: done.append(mine.raw("POST", route, raw)[0]))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ([204] * 6, 1) == (done, most)


class _With:
    def __init__(self, store: Any, report: Any) -> None:
        self._store, self.report = store, report

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_who_stops_in_the_middle_of_a_long_report_keeps_the_others_waiting_for_seconds_only(
    mine: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "PATIENCE", 0.5)
    mine.scene.until(Stage.STAGING_IN)
    route = f"/v1/standins/{mine.scene.burst().id}/reports"
    head = f"POST {route} HTTP/1.1\r\nhost: b\r\ncontent-length: {2**20}\r\n\r\n"
    with opened(mine, head.encode() + b" " * 2**19) as line:
        time.sleep(0.1)
        raw = json.dumps({"kind": "staged_in", "body": {"x": "y" * 2**20}}).encode()
        assert 204 == mine.raw("POST", route, raw)[0]
        assert b" 503 " in line.recv(100)


def test_the_largest_is_what_it_was() -> None:
    assert 64 * 2**20 == LARGEST == MOST["staged_in"] == MOST["remains"] == MOST["listing"]


@pytest.mark.parametrize("path", ["/a/f{}", "/home/alice/study/case/{}.vtk"])
def test_what_agents_rightly_send_is_a_list_of_files(path: str) -> None:
    """However short their names are."""
    paths = [path.format(number) for number in range(3000)]
    sent = [
        {"path": p, "size": 3, "blake3": "ab" * 32, "mtime_ns": 10**18, "mode": 420} for p in paths
    ]
    bodies: list[dict[str, Any]] = [
        {"id": "p1", "files": [{"path": p, "bytes": 3, "whole": True} for p in paths], "notes": []},
        {"files": sent, "marks": {p: [3, 10**18, 7] for p in paths}, "roots": ["/a"], "bytes": 9},
        {"files": [[p, 3, "ab" * 32, 10**18, 420] for p in paths]},
        {"files": 3, "bytes": 9, "notes": [f"{p} is a link" for p in paths]},
    ]
    for body in bodies:
        sparse(json.dumps({"kind": "x", "body": body}).encode())
