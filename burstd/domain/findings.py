"""What an examination found: one verdict per check, with the cure where something is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from burstd.domain.links import SKEW


class Grade(Enum):
    """How a check came out. UNKNOWN: it could not be made, which is no failure."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """``seen`` has the numbers; ``fix`` says what to do now, and is empty exactly when it is OK."""

    area: str  #: the part of the installation
    check: str
    grade: Grade
    seen: str
    fix: str = ""

    def __post_init__(self) -> None:
        if bool(self.fix) is (self.grade is Grade.OK):
            raise ValueError(f"{self.area}, {self.check}: a fix belongs to what is not ok")


@dataclass(frozen=True)
class Area:
    """One part of the installation, in whose name findings are made."""

    name: str

    def ok(self, check: str, seen: str) -> Finding:
        """As it must be."""
        return Finding(self.name, check, Grade.OK, seen)

    def warning(self, check: str, seen: str, fix: str) -> Finding:
        """It works, and will not always."""
        return Finding(self.name, check, Grade.WARNING, seen, fix)

    def failed(self, check: str, seen: str, fix: str) -> Finding:
        """No burst goes well like this."""
        return Finding(self.name, check, Grade.FAILED, seen, fix)

    def unknown(self, check: str, seen: str, fix: str) -> Finding:
        """It could not be looked at; ``fix`` says how it can."""
        return Finding(self.name, check, Grade.UNKNOWN, seen, fix)

    def judge(self, check: str, trouble: str, seen: str, fix: str) -> Finding:
        """Failed with ``trouble`` if there is any, else OK."""
        return self.failed(check, trouble, fix) if trouble else self.ok(check, seen)


#: Looks at one part; never raises for what it finds.
Examine = Callable[[], Iterable[Finding]]

GIB = 1024**3
LOW_SHARE, LOW, LOWEST = 0.10, GIB, 100 * 1000**2  #: of a disk; bytes
SOON = 5.0  #: seconds between two clocks: any further apart is worth a word


def room(area: Area, place: str, free: int, size: int) -> Finding:
    """Is there space left, in bytes, for who is not root?"""
    share = free / size if size else 0.0
    seen = f"{place}: {amount(free)} free of {amount(size)} ({share:.0%})"
    if free < LOWEST:
        return area.failed(
            "disk space", seen, f"make room on the file system of {place}: 100 MB is the least"
        )
    if free < LOW or share < LOW_SHARE:
        return area.warning(
            "disk space", seen, f"make room on the file system of {place}: 1 GiB and 10 % at least"
        )
    return area.ok("disk space", seen)


@dataclass(frozen=True)
class Bound:
    """What refuses to work once two clocks are further apart than so many ``seconds``."""

    seconds: float
    what: str
    than: str = "this machine"


#: munge(7), TTL; what all of one cluster's machines depend on.
CREDENTIALS = Bound(300.0, "munge refuses such credentials")
#: What two sites depend on.
CERTIFICATES = Bound(SKEW.total_seconds(), "sshd refuses such certificates")


def clock(area: Area, whose: str, ahead: float, blur: float, bound: Bound) -> Finding:
    """``ahead``: seconds that this clock is before the one of ``bound.than``, to within ``blur``.

    Further apart than the bound it has failed; what is merely wrong is a warning.
    """
    check, apart = f"clock of {whose}", max(0.0, abs(ahead) - blur)
    if apart <= SOON:
        return area.ok(check, f"within {max(blur, abs(ahead)):.1f} s of {bound.than}'s")
    seen = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} {bound.than}'s"
    fix = (
        f"run chrony on {bound.than} and on {whose}, and set both clocks now: chronyc makestep; "
        "date -u shows which one is wrong"
    )
    if apart > bound.seconds:
        return area.failed(check, f"{seen}: {bound.what}", fix)
    return area.warning(check, f"{seen}; at {bound.seconds:.0f} s {bound.what}", fix)


def amount(size: int) -> str:
    """Bytes for people."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
