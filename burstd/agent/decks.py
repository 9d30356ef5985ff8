"""CalculiX decks: which further files one reads.

As CalculiX itself does it (readinput.c): a name is opened as given, so relative to the directory
in which ccx runs; keywords in any case; blanks inside a line do not count, so no name has one;
includes may nest nine levels.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

LEVELS = 9
BLOCK = 16 * 2**20  #: bytes
_CARD = re.compile(rb"^[ \t]*\*[^*\r\n][^\r\n]*", re.MULTILINE)
_FILE = re.compile(r",(INPUT|STIFFNESSFILE|MASSFILE)=([^,]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Reference:
    """``name`` is read by line ``line`` of ``deck``."""

    name: str
    deck: Path
    line: int
    include: bool


class MissingInput(Exception):
    """A deck asks for a file that is not there."""

    def __init__(self, reference: Reference, path: Path) -> None:
        super().__init__(
            f"missing input file {path} (named {reference.name} in line {reference.line} of "
            f"{reference.deck})"
        )


class Astray(MissingInput):
    """A name leads through a link and up again: not to where it seems to."""

    def __init__(self, path: Path) -> None:
        Exception.__init__(
            self,
            f"{path} is {os.path.realpath(path)} here, and at a target, where no directory is a "
            "link, it would be another file: name it without ..",
        )


def plainly(path: Path) -> Path:
    """The same without ``..``. Raises ``Astray`` where that is not the file which the kernel
    opens: it goes up from where a link leads."""
    plain = Path(os.path.normpath(path))
    if ".." in path.parts and path.is_file() and os.path.realpath(path) != os.path.realpath(plain):
        raise Astray(path)
    return plain


def references(deck: Path, first: Callable[[Path], object] = lambda _: None) -> Iterator[Reference]:
    """The files that the cards of ``deck`` name. Raises ``OSError``, and what ``first`` raises."""
    first(deck)
    above = 0
    with deck.open("rb") as file:
        for block in _blocks(file):
            for card in _CARD.finditer(block):
                line = os.fsdecode(card[0]).replace(" ", "").replace("\t", "")
                for _, name in _FILE.findall(line):
                    number = above + block.count(b"\n", 0, card.start()) + 1
                    yield Reference(name, deck, number, line.upper().startswith("*INCLUDE"))
            above += block.count(b"\n")


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """Whole lines, some MiB at a time: a mesh has a GB of them. One line that is longer is no
    deck's."""
    rest = b""
    while more := file.read(BLOCK):
        block = rest + more
        end = block.rfind(b"\n") + 1 or len(block)
        rest = block[end:]
        yield block[:end]
    yield rest


def closure(
    deck: Path, directory: Path, first: Callable[[Path], object] = lambda _: None
) -> list[Path]:
    """All files that ``ccx`` reads for ``deck`` when run in ``directory``, the deck first.
    ``first`` is called with each before it is read.

    Raises ``MissingInput``, and ``OSError`` where a file can't be read.
    """
    found = {deck: None}
    level = [deck]
    for _ in range(LEVELS):
        following = []
        for reference in (r for one in level for r in references(one, first)):
            path = plainly(directory / reference.name)
            if not path.is_file():
                raise MissingInput(reference, path)
            if path not in found:
                found[path] = None
                following += [path] if reference.include else []
        level = following
    return list(found)
