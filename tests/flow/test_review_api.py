"""The API over a real Unix socket: who may say what, in any bytes, of any length."""

from __future__ import annotations

import http.client
import json
import os
import pwd
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from burstd.agent.api import Api, Denied
from burstd.api.desk import Desk
from burstd.api.server import ApiServer
from burstd.domain import events as ev
from burstd.domain.burst import Stage
from burstd.domain.targets import Outcome
from burstd.shell.sight import Sight
from burstd.shell.tick import drive
from tests.flow.scene import Scene

ME = pwd.getpwuid(os.geteuid()).pw_name


@dataclass
class Counter:
    scene: Scene
    desk: Desk
    api: Api
    socket: Path

    def hello(self, restarts: int = 0) -> dict[str, Any]:
        return self.api.post("/v1/standins", {"job": "1", "restarts": restarts})

    def raw(
        self, method: str, route: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("burstd", timeout=20)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.socket))
        try:
            connection.request(method, route, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    @contextmanager
    def asked_by(
        self, many: int, method: str, route: str, body: bytes = b""
    ) -> Iterator[list[int]]:
        """So many ask that at once: the answers so far, and behind it all of them."""
        said = list[int]()
        threads = [
            threading.Thread(target=lambda: said.append(self.raw(method, route, body)[0]))
            for _ in range(many)
        ]
        for thread in threads:
            thread.start()
        yield said
        for thread in threads:
            thread.join()


def opened(counter: Counter, *said: bytes) -> socket.socket:
    """A line on which so much was said."""
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(20)
    line.connect(str(counter.socket))
    for part in said:
        line.sendall(part)
    return line


def serve(tmp_path: Path, user: str, scene: Scene | None = None) -> Iterator[Counter]:
    scene = scene or Scene()
    scene.target.users = {ME: "cae01", "alice": "cae01"}
    scene.slurm.submit(user=user, name="beam", minutes=120)
    desk = Desk(scene.world, scene.memory, frozenset(), scene.clock.now())
    server = ApiServer(desk, tmp_path / "s")
    server.start()
    try:
        yield Counter(scene, desk, Api(str(tmp_path / "s"), 20), tmp_path / "s")
    finally:
        server.stop()


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Counter]:
    yield from serve(tmp_path, ME)


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Counter]:
    yield from serve(tmp_path, "alice")


def quarantine(scene: Scene, cause: str) -> None:
    def broken(*_: object) -> ev.Event:
        return ev.Broken(cause)

    drive(scene.burst(), scene.world, Sight(), {scene.burst().stage: broken})
    assert Stage.QUARANTINED is scene.burst().stage


# --- any bytes


def test_a_report_keeps_names_that_are_not_utf8(mine: Counter) -> None:
    mine.scene.until(Stage.STAGING_IN)
    burst = mine.hello()["burst"]
    body = {"marks": {"/w/L\udcfcfter.inp": [1, 2, 3]}, "files": [], "roots": ["/w"], "bytes": 0}
    mine.api.post(f"/v1/standins/{burst}/reports", {"kind": "staged_in", "body": body})
    assert body == mine.api.get(f"/v1/standins/{burst}/reports/staged_in")
    assert body == mine.scene.store.reports(burst)["staged_in"].body


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"kind": "staged_in"}', b'{"kind": "x", "body": {}}', b"\xff", b"{" * 9999,
     b'{"kind": "staged_in", "body": {}, "more": 1}'],
)  # fmt: skip
def test_a_report_that_is_none_is_refused_in_words(mine: Counter, body: bytes) -> None:
    mine.scene.until(Stage.STAGING_IN)
    burst = mine.scene.burst().id
    status, said = mine.raw("POST", f"/v1/standins/{burst}/reports", body)
    assert 400 == status
    assert json.loads(said)["error"]


@pytest.mark.parametrize("size", ["many", None, -1, 2**80, 1.5])
def test_a_report_with_odd_bytes_is_kept_all_the_same(mine: Counter, size: object) -> None:
    mine.scene.until(Stage.STAGING_IN)
    burst = mine.scene.burst().id
    mine.api.post(f"/v1/standins/{burst}/reports", {"kind": "notes", "body": {"bytes": size}})
    assert "notes" in mine.scene.store.reports(burst)


@pytest.mark.parametrize(
    ("said", "code"), [(0, 0), (3, 3), (None, 1), (256, 1), (-1, 1), ("0", 1), ([], 1)]
)
def test_the_code_in_the_runners_record_counts_and_nothing_odd_does(
    mine: Counter, said: object, code: int
) -> None:
    scene = mine.scene
    scene.until(Stage.RUNNING)
    scene.turn()
    scene.agents.asleep = True
    scene.target.finish_all(Outcome("exited", 1))
    burst = scene.until(Stage.STAGING_OUT).id
    body = {"files": 0, "bytes": 0, "notes": [], "exit_code": said}
    mine.api.post(f"/v1/standins/{burst}/reports", {"kind": "staged_out", "body": body})
    scene.until(Stage.SETTLING)
    assert ("exit", code) == (mine.hello()["order"], mine.hello()["exit_code"])


# --- who may say what


def test_nobody_learns_why_the_burst_of_another_is_stuck(theirs: Counter) -> None:
    theirs.scene.until(Stage.RUNNING)
    quarantine(theirs.scene, "missing /home/alice/secret-car.inp")
    said = theirs.hello()
    assert said["burst"] is None
    assert "secret" not in json.dumps(said)
    assert str(theirs.scene.burst().id) not in json.dumps(said)


def test_the_owner_learns_it(mine: Counter) -> None:
    mine.scene.until(Stage.RUNNING)
    quarantine(mine.scene, "missing beam.inp")
    assert "missing beam.inp" in mine.hello()["cause"]


def test_nobody_speaks_for_anothers_stand_in(theirs: Counter) -> None:
    theirs.scene.until(Stage.STAGING_IN)
    burst = theirs.scene.burst().id
    before = theirs.scene.store.reports(burst)
    asks: list[Callable[[], object]] = [
        theirs.hello,
        lambda: theirs.api.post(f"/v1/standins/{burst}/reports", {"kind": "recalled", "body": {}}),
        lambda: theirs.api.get(f"/v1/standins/{burst}/reports/hello"),
        lambda: theirs.api.get(f"/v1/standins/{burst}"),
        lambda: theirs.api.post(f"/v1/standins/{burst}/ticket", {"public_key": "x"}),
        lambda: theirs.api.get("/v1/jobs/1"),
        lambda: theirs.api.get("/v1/jobs/1/why"),
        lambda: theirs.api.get("/v1/jobs/1/journal"),
        lambda: theirs.api.get(f"/v1/jobs/{burst}"),
    ]
    for ask in asks:
        with pytest.raises(Denied):
            ask()
    assert {"jobs": []} == {"jobs": theirs.api.get("/v1/jobs")["jobs"]}
    assert before == theirs.scene.store.reports(burst)


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_a_header_makes_nobody_somebody_else(theirs: Counter, name: str) -> None:
    theirs.scene.until(Stage.STAGING_IN)
    status, _ = theirs.raw("GET", f"/v1/standins/{theirs.scene.burst().id}", headers={name: "0"})
    assert 404 == status


def test_no_ticket_leads_to_the_run_directory_of_a_burst_that_is_over(mine: Counter) -> None:
    mine.scene.finish()
    burst = mine.scene.burst().id
    mine.scene.turn(3)
    with pytest.raises(Denied, match="settled"):
        mine.api.post(f"/v1/standins/{burst}/ticket", {"public_key": "ssh-ed25519 AAAA"})
    assert not mine.scene.link.view().up


# --- how much


@pytest.mark.parametrize("route", ["/v1/standins", "/v1/standins/{}/ticket"])
def test_nobody_fills_burstds_memory(mine: Counter, route: str) -> None:
    mine.scene.until(Stage.STAGING_IN)
    status, said = mine.raw("POST", route.format(mine.scene.burst().id), b" " * (2**20 + 1))
    assert 413 == status
    assert "too long" in json.loads(said)["error"]


def test_a_report_that_is_too_long_is_refused_and_its_agent_hears_it(mine: Counter) -> None:
    mine.scene.until(Stage.STAGING_IN)
    body = {"kind": "staged_in", "body": {"x": "y" * 65 * 2**20}}
    with pytest.raises(Denied) as caught:
        mine.api.post(f"/v1/standins/{mine.scene.burst().id}/reports", body)
    assert 413 == caught.value.status


@pytest.mark.parametrize("job", ["9" * 30, "99999999999", "-1", "abc", "1_99999999999999999999"])
def test_a_number_that_no_job_has_is_answered(mine: Counter, job: str) -> None:
    for route in (f"/v1/jobs/{job}", f"/v1/jobs/{job}/why", f"/v1/wait/{job}?seconds=0"):
        assert mine.raw("GET", route)[0] in {204, 400, 404}, route
    status, _ = mine.raw("POST", "/v1/standins", json.dumps({"job": job}).encode())
    assert status in {200, 400}


# --- how often


def test_an_agent_that_only_says_hello_again_costs_no_tick_and_no_write(mine: Counter) -> None:
    """Hundreds say it every eight seconds: squeue would be asked without a pause."""
    mine.scene.until(Stage.RUNNING)
    mine.hello()
    mine.desk.nudge.clear()
    burst = mine.scene.burst().id
    at = mine.scene.store.reports(burst)["hello"].at
    mine.scene.clock.forward(seconds=8)
    mine.hello()
    assert not mine.desk.nudge.is_set()
    assert at == mine.scene.store.reports(burst)["hello"].at
    mine.hello(restarts=1)
    assert mine.desk.nudge.is_set()


def test_a_move_between_the_look_and_the_wait_wakes_the_agent(mine: Counter) -> None:
    mine.scene.until(Stage.RUNNING)
    burst = mine.scene.burst()
    real, desk = mine.scene.world.store.bursts, mine.desk

    class Slow:
        """The burst moves just after the API has looked at it."""

        def __getattr__(self, name: str) -> Any:
            return getattr(mine.scene.store, name)

        def bursts(self, job: Any = None) -> Any:
            found = real(job)
            desk.bell.ring(burst.job)
            return found

    object.__setattr__(desk, "world", replace(desk.world, store=Slow()))
    done: list[int] = []
    route = f"/v1/wait/1?version={burst.version}&seconds=15"
    thread = threading.Thread(target=lambda: done.append(mine.raw("GET", route)[0]))
    thread.start()
    thread.join(5)
    assert [204] == done
    thread.join()


def test_who_waits_when_burstd_stops_is_answered(mine: Counter) -> None:
    mine.scene.until(Stage.RUNNING)
    server = ApiServer(mine.desk, mine.socket.with_name("t"))
    server.start()
    burst, done = mine.scene.burst(), list[int]()
    other = replace(mine, socket=mine.socket.with_name("t"))
    route = f"/v1/wait/1?version={burst.version}&seconds=15"
    thread = threading.Thread(target=lambda: done.append(other.raw("GET", route)[0]))
    thread.start()
    while burst.job not in mine.desk.bell._waiting:
        time.sleep(0.01)
    server.stop()
    thread.join(10)
    assert [204] == done


def test_a_plan_that_somebody_asks_for_does_not_disturb_the_tick(mine: Counter) -> None:
    mine.scene.turn()
    before = mine.scene.memory.scripts
    mine.api.get("/v1/plan")
    assert before is mine.scene.memory.scripts
