"""What a far end or a user may do to a landing, each tried in a directory of its own."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import blake3

from burstd.agent.inputs import marks
from burstd.agent.landing import Damaged, Landing
from burstd.agent.walk import Look
from burstd.domain.data import OutputFile

RESULT = b"result"
_TEMPORARY = f".burst-b1-{hashlib.sha256(b'out.frd').hexdigest()[:16]}"
Meanwhile = Callable[[], object]


def land(
    home: Path,
    name: str = "out.frd",
    meanwhile: Meanwhile = lambda: None,
    *,
    content: bytes = RESULT,
    mode: int = 0o640,
    known: bool = False,
) -> None:
    """One result into ``home``, if it may; its marks are those of now if ``known``."""

    def fetch(_entry: OutputFile, descriptor: int, _similar: int | None) -> None:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, content, 0)
        meanwhile()

    digest = blake3.blake3(RESULT).hexdigest()
    entry = OutputFile(f"{home}/{name}", "file", len(RESULT), digest, 0, mode)
    with contextlib.suppress(Damaged, OSError):  # to refuse is well; what counts is what is there
        Landing("b1", (home,), marks(Look(), [home]) if known else {}, fetch).land(entry)


def _up(home: Path) -> Iterator[str]:
    """A name that leads out."""
    land(home, "../outside")
    land(home, "a/../../outside")
    if (home.parent / "outside").exists():
        yield "9: a name with .. is written outside"


def _through_a_link(home: Path) -> Iterator[str]:
    outside = home.parent / "elsewhere"
    outside.mkdir()
    (home / "a").symlink_to(outside)
    land(home, "a/out.frd")
    if list(outside.iterdir()):
        yield "9: a directory that is a link is followed"


def _onto_a_link(home: Path) -> Iterator[str]:
    victim = home.parent / "victim"
    victim.write_bytes(b"precious")
    (home / _TEMPORARY).symlink_to(victim)
    (home / "out.frd").symlink_to(victim)
    land(home)
    if victim.read_bytes() != b"precious":
        yield "9: a link is written through"


def _turned_aside(home: Path) -> Iterator[str]:
    """The temporary name becomes a link while the bytes come."""
    victim = home.parent / "victim"
    victim.write_bytes(b"precious")
    victim.chmod(0o600)

    def turn() -> None:
        (home / _TEMPORARY).unlink()
        (home / _TEMPORARY).symlink_to(victim)

    land(home, meanwhile=turn, mode=0o777)
    if stat.S_IMODE(victim.stat().st_mode) != 0o600 or victim.stat().st_nlink > 1:
        yield "9: what the link leads to is changed"


def _existing_temporary(home: Path) -> Iterator[str]:
    """Somebody else holds the temporary name open, and writes after we have checked the bytes."""
    (home / _TEMPORARY).write_bytes(b"theirs")
    os.chown(home / _TEMPORARY, 65534, 65534)
    with (home / _TEMPORARY).open("r+b") as theirs:
        land(home)
        theirs.write(b"forged")
    if (home / "out.frd").read_bytes() != RESULT:
        yield "8: a file that somebody else holds open becomes the result"


def _twin(home: Path) -> Iterator[str]:
    """Another agent of the burst, that was thought dead, goes on writing to the temporary name."""
    (home / _TEMPORARY).write_bytes(b"res")
    with (home / _TEMPORARY).open("r+b") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        land(home)
        theirs.write(b"forged")
    if (home / "out.frd").read_bytes() != RESULT:
        yield "8: a file that another agent holds open becomes the result"


def _second_name(home: Path) -> Iterator[str]:
    """The temporary name is another one of a file of the user's."""
    (home / "precious").write_bytes(b"precious")
    os.link(home / "precious", home / _TEMPORARY)
    land(home)
    if (home / "precious").read_bytes() != b"precious":
        yield "8: a file of the user's is written to by another name"


def _changed_meanwhile(home: Path) -> Iterator[str]:
    (home / "out.frd").write_bytes(b"the user's own words")
    land(home)
    if (home / "out.frd").read_bytes() != b"the user's own words":
        yield "10: what the user has written is overwritten"


def _changed_in_the_last_moment(home: Path) -> Iterator[str]:
    land(home, meanwhile=lambda: (home / "out.frd").write_bytes(b"mine"))
    if not (home / "out.frd").exists() or (home / "out.frd").read_bytes() != b"mine":
        yield "10: what the user writes in the last moment is overwritten"


def _changed_behind_the_last_look(home: Path) -> Iterator[str]:
    """In the very system call that gives the result its name."""

    def late(call: Callable[..., None]) -> Callable[..., None]:
        def called(source: str, target: str, **words: Any) -> None:
            if target == "out.frd" and not (home / target).exists():
                (home / target).write_bytes(b"mine")
            call(source, target, **words)

        return called

    with patch.object(os, "link", late(os.link)), patch.object(os, "rename", late(os.rename)):
        land(home)
    if (home / "out.frd").read_bytes() != b"mine":
        yield "10: what the user writes behind the last look is overwritten"


def _damaged(home: Path) -> Iterator[str]:
    """As many bytes, other ones."""
    land(home, content=b"Result")
    if (home / "out.frd").exists():
        yield "7: damaged bytes land"


def _already_there(home: Path) -> Iterator[str]:
    """An old result of the same size, which nobody has changed since."""
    (home / "out.frd").write_bytes(b"before")
    land(home, known=True)
    if (home / "out.frd").read_bytes() != RESULT:
        yield "7: another file of the same size counts as landed"


def _special_bits(home: Path) -> Iterator[str]:
    land(home, mode=0o6755)
    if stat.S_IMODE((home / "out.frd").stat().st_mode) != 0o755:
        yield "9: set-user-id comes home"


TRIES: Mapping[str, Callable[[Path], Iterator[str]]] = {
    "a name that leads out": _up,
    "a directory that is a link": _through_a_link,
    "a name that is a link": _onto_a_link,
    "turned aside": _turned_aside,
    "a temporary file that is there": _existing_temporary,
    "a twin": _twin,
    "a second name": _second_name,
    "changed meanwhile": _changed_meanwhile,
    "changed in the last moment": _changed_in_the_last_moment,
    "changed behind the last look": _changed_behind_the_last_look,
    "damaged": _damaged,
    "already there": _already_there,
    "special bits": _special_bits,
}


def tries() -> Iterator[tuple[str, list[str]]]:
    """Each of them, and what is wrong."""
    for name, trial in TRIES.items():
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder) / "job"
            home.mkdir()
            yield name, _tried(trial, home)


def _tried(trial: Callable[[Path], Iterator[str]], home: Path) -> list[str]:
    try:
        return list(trial(home))
    except Exception as error:  # noqa: BLE001 - where a landing has a defect it may end so
        return [f"the landing itself: {error!r}"]
