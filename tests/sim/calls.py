"""burstd's calls at its seams: what each says, and of which kind it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

#: Where something can happen: between two turns, or at a call of one of these kinds.
TURN = "turn"
#: Or at the first call, from the nth of all on, that it can befall.
ANY = "any call"
SLURM_READ, SLURM_CHANGE, PAST = "slurm read", "slurm change", "past read"
STORE_READ, STORE_CHANGE, REPORT = "store read", "store change", "report"
FAR_READ, FAR_CHANGE, LINK = "far read", "far change", "link"
CALLS = (
    SLURM_READ, SLURM_CHANGE, STORE_READ, STORE_CHANGE, REPORT, FAR_READ, FAR_CHANGE, LINK, PAST,
)  # fmt: skip
CHANGES = frozenset({SLURM_CHANGE, STORE_CHANGE, REPORT, FAR_CHANGE, LINK})

_STORE_CHANGES = frozenset(
    {
        "append", "record", "send_home", "permit", "note", "freeze", "thaw", "request", "tell",
        "suspect", "accept",
    }
)  # fmt: skip
_FAR_CHANGES = frozenset(
    {"submit", "start", "cancel", "clean", "tidy", "prepare", "ticket", "keep_mark", "signal"}
)
_READING = frozenset({("scontrol", "show"), ("scontrol", "write")})


@dataclass(frozen=True)
class Call:
    """One call of one daemon at a seam."""

    daemon: str
    seam: str
    name: str
    args: tuple[Any, ...]

    @property
    def kind(self) -> str:
        """One of ``CALLS``."""
        if self.seam == "slurm":
            argv = self.args[0]
            if argv[0] == "sacct" and "-a" in argv:
                return PAST
            reads = argv[0] in {"squeue", "sinfo", "sacct", "sdiag"} or tuple(argv[:2]) in _READING
            return SLURM_READ if reads else SLURM_CHANGE
        if self.seam == "store":
            if self.name == "report":
                return REPORT
            return STORE_CHANGE if self.name in _STORE_CHANGES else STORE_READ
        if self.seam == "far":
            return FAR_CHANGE if self.name in _FAR_CHANGES else FAR_READ
        return LINK

    @property
    def says(self) -> str:
        """In words that are the same in every replay."""
        word = _WORDS.get((self.seam, self.name), _plain)
        return f"{self.daemon} {self.seam} {self.name} {word(self.args)}".rstrip()


def _plain(args: tuple[Any, ...]) -> str:
    return " ".join(str(arg) for arg in args if isinstance(arg, str | int))


def _command(args: tuple[Any, ...]) -> str:
    argv = args[0]
    if argv[0] in {"squeue", "sacct"}:
        return str(argv[0])  # squeue's separators are drawn anew in each call
    return " ".join(argv)


_WORDS: Mapping[tuple[str, str], Callable[[tuple[Any, ...]], str]] = {
    ("slurm", "run"): _command,
    ("store", "append"): lambda a: f"{a[0].id[-3:]} {type(a[1]).__name__} {a[2].stage.value}",
    ("store", "record"): lambda a: f"{len(a[0].placements)} placed",
    ("store", "report"): lambda a: f"{a[0][-3:]} {a[1]}",
    ("store", "send_home"): lambda a: str(a[0].identity.key),
    ("far", "submit"): lambda a: str(a[0].key),
    ("far", "poll"): lambda a: " ".join(a[0]),
    ("far", "prepare"): lambda a: str(a[0].name),
}


class Tap(Protocol):
    """What stands at every seam: it makes the call, or does something else."""

    def __call__(self, call: Call, real: Callable[[], Any]) -> Any: ...


class Tapped:
    """A port whose every call goes through a tap."""

    def __init__(self, port: Any, daemon: str, seam: str, tap: Tap) -> None:
        self._port, self._daemon, self._seam, self._tap = port, daemon, seam, tap

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._port, name)
        if not callable(real):
            return real

        def called(*args: Any, **kwargs: Any) -> Any:
            call = Call(self._daemon, self._seam, name, args)
            return self._tap(call, lambda: real(*args, **kwargs))

        self.__dict__[name] = called
        return called
