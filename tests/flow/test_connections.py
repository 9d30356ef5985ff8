"""The socket is everybody's: no user's connections keep burstd, or others, from their files."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from burstd.api import bodies, peers
from burstd.domain.burst import Stage
from burstd.testing.simulators import in_file
from tests.flow.scene import Scene
from tests.flow.test_review_api import ME, Counter, opened, serve


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Counter]:
    yield from serve(tmp_path, ME, Scene(database=in_file(tmp_path / "ledger.db")))


ASKED = b"GET /v1/wait/99?seconds=0 HTTP/1.1\r\nhost: b\r\n\r\n"


@pytest.mark.parametrize("said", [b"", b"GET /v1/status HT"], ids=["silent", "half a question"])
def test_who_asks_nothing_is_hung_up_on(
    mine: Counter, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(peers, "PATIENCE", 0.2)
    with opened(mine, said) as line:
        assert b"" == line.recv(1)


def test_nor_does_half_of_a_second_question_keep_a_line(
    mine: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "PATIENCE", 0.2)
    with opened(mine, ASKED) as line:
        assert b" 204 " in line.recv(1000)
        line.sendall(b"GET /v1/st")
        assert b"" == line.recv(1)


def test_who_waits_for_an_answer_is_left_alone(
    mine: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "PATIENCE", 0.1)
    with opened(mine, ASKED.replace(b"seconds=0", b"seconds=1")) as line:
        assert b" 204 " in line.recv(1000)


def test_a_body_that_never_ends_is_not_waited_for(
    mine: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "PATIENCE", 0.2)
    mine.scene.until(Stage.STAGING_IN)
    report = f"/v1/standins/{mine.scene.burst().id}/reports"
    for route in ("/v1/standins", report):
        head = f"POST {route} HTTP/1.1\r\nhost: b\r\ncontent-length: 100\r\n\r\n"
        with opened(mine, head.encode() + b"{") as line:
            assert b" 503 " in line.recv(1000)


def test_no_user_has_all_connections(mine: Counter) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (peers.EACH * 70, hard))
    lines = list[socket.socket]()
    try:
        lines += [opened(mine) for _ in range(80)]
        refused = [line for line in lines[70:] if not _stays(line)]
        assert 10 == len(refused)
        assert all(map(_stays, lines[:60]))
        for line in lines:
            line.close()
        time.sleep(0.2)
        assert 204 == mine.raw("GET", "/v1/wait/99?seconds=0")[0]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for line in lines:
            line.close()


def _stays(line: socket.socket) -> bool:
    try:
        line.sendall(ASKED)
        return b" 204 " in line.recv(1000)
    except OSError:
        return False
