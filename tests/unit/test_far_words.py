"""What the far end refuses, in the words of the port: what may be tried again, and what may not."""

from __future__ import annotations

import errno
import io
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from burstd.agent.pace import Pace
from burstd.agent.ssh_depot import SshDepot, SshLine
from burstd.far import wire
from burstd.far.errors import BROKEN, MISSING, NEVER_STARTED, REFUSED, FarError, answered
from burstd.ports.depot import Ended, Execution
from burstd.ports.errors import Rejected, Unreachable


@pytest.fixture
def refused(tmp_path: Path) -> Iterator[Callable[[str], SshDepot]]:
    """A depot whose far end refuses the first question with a code."""
    opened = list[SshDepot]()

    def one(code: str) -> SshDepot:
        said = io.BytesIO()
        wire.send(said, {"ok": True})
        wire.send(said, {"error": code, "message": "in words"})
        (tmp_path / "said").write_bytes(said.getvalue())
        argv = ["sh", "-c", 'cat "$0"; cat > /dev/null', str(tmp_path / "said")]
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        opened.append(SshDepot(SshLine(child, Pace(lambda _moved: None)), "b-1", _no_other))
        return opened[-1]

    yield one
    for depot in opened:
        depot.close()


def _no_other() -> SshLine:
    raise AssertionError


def test_only_what_never_started_has_no_results(refused: Callable[[str], SshDepot]) -> None:
    assert Ended() == refused(NEVER_STARTED).outputs("5a" * 32)
    with pytest.raises(Unreachable, match="in words"):
        refused(MISSING).outputs("5a" * 32)


def test_what_is_not_there_is_sent_again_but_not_read_again(
    refused: Callable[[str], SshDepot],
) -> None:
    execution = Execution((), "/w", {}, {}, ("/w",), (), False, 60.0, (), "5a" * 32)
    with pytest.raises(Unreachable, match="in words"):
        refused(MISSING).order(execution, [], b"")
    with pytest.raises(Rejected, match="in words"):
        refused(MISSING).read("/w/f", 0, 1)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EACCES, BROKEN),
        (errno.EPERM, BROKEN),
        (errno.ELOOP, REFUSED),
        (errno.ENOENT, MISSING),
    ],
)
def test_who_may_do_nothing_at_the_moment_may_try_again(number: int, code: str) -> None:
    with pytest.raises(FarError, match=os.strerror(number)) as caught, answered():
        raise OSError(number, os.strerror(number))
    assert code == caught.value.code
