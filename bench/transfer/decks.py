"""Inputs as CAE has them, the same each time: many small files, large binaries, a study."""

from __future__ import annotations

import shutil
from array import array
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

MB = 10**6


def dice_of(seed: int) -> Random:
    """The same each time."""
    return Random(seed)  # noqa: S311 - inputs, not secrets


def small(top: Path) -> None:
    """An OpenFOAM case in 100 parts: 20,000 files, log-normal around 7 kB, half text."""
    dice, text = dice_of(1), _vectors(dice_of(2), 40 * MB // 8)
    binary = _smooth(dice_of(3), 8 * MB)
    for part in range(100):
        for time in range(4):
            place = top / f"processor{part}" / f"0.{time}"
            place.mkdir(parents=True)
            for number in range(50):
                size = int(min(60_000, dice.lognormvariate(8.85, 0.75)))
                pool = text if number % 2 else binary
                at = dice.randrange(len(pool) - size)
                head = b"FoamFile { object %d; part %d; time %d; }\n" % (number, part, time)
                (place / f"field{number}").write_bytes(head + pool[at : at + size])


def large(top: Path) -> None:
    """Four files of 512 MiB as an explicit solver writes them: half smooth fields, half noise."""
    top.mkdir(parents=True)
    smooth = _smooth(dice_of(4), 64 * 2**20)
    for number in range(4):
        dice = dice_of(10 + number)
        with (top / f"d3plot{number:02}").open("wb") as file:
            for _ in range(256):
                at = dice.randrange(len(smooth) - 2**20)
                file.write(dice.randbytes(2**20) + _turned(smooth[at : at + 2**20], dice))


def study(top: Path) -> None:
    """Twenty jobs of 99 MB: one mesh under headers of different lengths, 200 includes that are the
    same in all, and 5 MB of their own."""
    _study(top, jobs=20, part=1)


def wide(top: Path) -> None:
    """The same as 200 jobs of 9.9 MB."""
    _study(top, jobs=200, part=10)


def _study(top: Path, jobs: int, part: int) -> None:
    dice = dice_of(5)
    mesh = b"".join(
        b"%8d%16.6f%16.6f%16.6f\n" % (n, dice.gauss(0, 500), dice.gauss(0, 500), dice.gauss(0, 500))
        for n in range(60 * MB // 57 // part)
    )
    includes = [_vectors(dice, 175_000) for _ in range(200 // part)]
    own = 2_500_000 // part
    for job in range(jobs):
        place = top / f"job{job:03}"
        (place / "include").mkdir(parents=True)
        lines = range(dice.randrange(5, 40))
        head = b"$ variant %d\n" % job + b"".join(
            b"R thk%d,%f\n" % (n, dice.random()) for n in lines
        )
        (place / "mesh.k").write_bytes(head + mesh)
        for number, content in enumerate(includes):
            (place / "include" / f"part{number:03}.k").write_bytes(content)
        (place / "morph.bin").write_bytes(dice.randbytes(own) + _smooth(dice, own))


DECKS: Mapping[str, Callable[[Path], None]] = {
    "small": small,
    "large": large,
    "study": study,
    "wide": wide,
}


def made(scratch: Path, name: str) -> Path:
    """The directory of that name; made where it is missing."""
    top = scratch / "decks" / name
    if not top.exists():
        fresh = scratch / "decks" / f"{name}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        DECKS[name](fresh)
        fresh.rename(top)
    return top


def append(path: Path) -> None:
    """One part in a hundred more."""
    with path.open("ab") as file:
        file.write(dice_of(6).randbytes(path.stat().st_size // 100))


def insert(path: Path) -> None:
    """The same, a megabyte from the beginning."""
    content = path.read_bytes()
    path.write_bytes(content[:MB] + dice_of(7).randbytes(len(content) // 100) + content[MB:])


def overwrite(path: Path) -> None:
    """One part in a hundred, in pieces of 64 KiB."""
    dice, size = dice_of(8), path.stat().st_size
    with path.open("r+b") as file:
        for _ in range(size // 100 // 65536):
            file.seek(dice.randrange(size - 65536))
            file.write(dice.randbytes(65536))


def _vectors(dice: Random, size: int) -> bytes:
    line = b"(%.5g %.5g %.5g)\n"
    return b"".join(
        line % (dice.gauss(0, 1), dice.gauss(0, 1), dice.gauss(0, 1)) for _ in range(size // 26 + 1)
    )[:size]


def _smooth(dice: Random, size: int) -> bytes:
    """Floats of 32 bits that walk, twelve bits of their mantissa."""
    at, found = 0.0, array("f")
    for _ in range(size // 4 + 1):
        at += dice.gauss(0, 1e-3)
        found.append(round(at, 4))
    return found.tobytes()[:size]


def _turned(content: bytes, dice: Random) -> bytes:
    """Another stretch of as much content: no two files share any."""
    mask = bytes([dice.randrange(256)]) * 2
    table = bytes(byte ^ mask[0] for byte in range(256))
    return content.translate(table)
