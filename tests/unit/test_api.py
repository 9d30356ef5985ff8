"""What the agent makes of burstd's answers, and of those that are none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from burstd.agent.api import Api, Away, Denied


@contextmanager
def _answering(path: Path, answer: bytes) -> Iterator[list[bytes]]:
    """Takes one request, answers it so, and closes."""
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def once() -> None:
            line, _ = server.accept()
            with line:
                whole = b""
                while not whole.endswith(b"}"):
                    whole += line.recv(65536)
                heard.append(whole)
                line.sendall(answer)

        thread = threading.Thread(target=once)
        thread.start()
        yield heard
        thread.join()


@pytest.fixture
def ask(tmp_path: Path) -> Callable[[bytes], object]:
    def asked(answer: bytes) -> object:
        with _answering(tmp_path / "s", answer):
            return Api(str(tmp_path / "s"), 5.0).post("/v1/x", {"a": 1})

    return asked


def test_a_question_is_one_request(tmp_path: Path) -> None:
    with _answering(tmp_path / "s", b"HTTP/1.1 200 OK\r\n\r\n{}") as heard:
        assert {} == Api(str(tmp_path / "s"), 5.0).post("/v1/x?y=1", {"a": "\u00e9"})
    head, _, body = heard[0].partition(b"\r\n\r\n")
    assert b"POST /v1/x?y=1 HTTP/1.1" == head.split(b"\r\n")[0]
    assert b'{"a": "\\u00e9"}' == body
    assert f"Content-Length: {len(body)}".encode() in head


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\nx: y\r\n\r\n" + b'{"b": 2}',
        b"HTTP/1.0 200\r\n\r\n" + b'{"b": 2}',
    ],
)
def test_an_answer(ask: Callable[[bytes], object], answer: bytes) -> None:
    assert {"b": 2} == ask(answer)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n" + b'{"b": 2}',
        b"HTTP/1.1 two hundred\r\n\r\n{}",
        b"SSH-2.0-x\r\n\r\n",
        b'HTTP/1.1 503 no\r\n\r\n{"error": "not now"}',
    ],
)
def test_what_is_no_answer_is_asked_for_again(
    ask: Callable[[bytes], object], answer: bytes
) -> None:
    with pytest.raises(Away):
        ask(answer)


def test_a_refusal(ask: Callable[[bytes], object]) -> None:
    with pytest.raises(Denied, match="too long") as caught:
        ask(b'HTTP/1.1 413 no\r\n\r\n{"error": "too long"}')
    assert 413 == caught.value.status


def test_nobody_is_there(tmp_path: Path) -> None:
    with pytest.raises(Away):
        Api(str(tmp_path / "s")).get("/")
