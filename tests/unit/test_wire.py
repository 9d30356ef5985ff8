"""What has come over a line can be told without waiting for more."""

from __future__ import annotations

import io
import os
import socket

import pytest

from burstd.far import wire


@pytest.mark.parametrize(("sent", "most", "expected"), [(0, 9, 0), (5, 9, 5), (5, 3, 3)])
def test_of_a_socket_and_of_a_pipe(sent: int, most: int, expected: int) -> None:
    here, there = socket.socketpair()
    read, write = os.pipe()
    with (
        here,
        there,
        here.makefile("rb") as line,
        os.fdopen(read, "rb") as pipe,
        os.fdopen(write, "wb") as to,
    ):
        there.sendall(b"x" * sent)
        to.write(b"x" * sent)
        to.flush()
        assert (expected, expected) == (wire.come(line, most), wire.come(pipe, most))


def test_nobody_can_tell_of_others() -> None:
    assert 0 == wire.come(io.BytesIO(b"12345"), 9)
