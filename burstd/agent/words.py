"""The words of a batch script that may name files: read as text, never executed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

_ASSIGNMENT = re.compile(r"^\s*(?:export\s+)?([A-Za-z_]\w*)=(\"[^\"]*\"|'[^']*'|[^\s;#]*)", re.M)
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*|\d+)(?::?-([^}]*))?\}|([A-Za-z_]\w*|\d))")
_QUOTED = re.compile(r"\"([^\"\n]*)\"|'([^'\n]*)'")
_BARE = re.compile(r"[^\s\"'`;|&<>(){}\[\],]+")
_CHANGE_DIRECTORY = re.compile(
    r"(?:^|[;&|]\s*|\bthen\s+)\s*cd\s+(\"[^\"]*\"|'[^']*'|[^\s;&|]+)", re.M
)


def without_comments(script: str) -> str:
    """Whole-line comments go; ``#`` inside a line may be part of a name."""
    return "\n".join(ln for ln in script.splitlines() if not ln.lstrip().startswith("#"))


def expand(script: str, arguments: Sequence[str], exports: Mapping[str, str]) -> str:
    """Replace variables that can be known without running anything.

    Known: literal assignments in the script, positional arguments, what Slurm says of the job as
    a whole (``exports``). Any other becomes ``*``: ``part_$SLURM_PROCID`` may be any file of that
    form.
    """
    known = dict(exports)
    known |= {str(i): value for i, value in enumerate(arguments, 1)}
    text = without_comments(script)
    for name, value in _ASSIGNMENT.findall(text):
        known[name] = _substitute(value.strip("\"'"), known)
    return _substitute(text, known)


def _substitute(text: str, known: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1] or found[3]
        if name in known:
            return known[name]
        return found[2] if found[2] is not None else "*"

    return _VARIABLE.sub(value, text)


def directories(text: str) -> Iterator[str]:
    """The arguments of ``cd``."""
    for word in _CHANGE_DIRECTORY.findall(text):
        yield word.strip("\"'")


def words(text: str, arguments: Sequence[str]) -> Iterator[str]:
    """Everything that may be a file's name: arguments, quoted strings, bare words, and the
    right-hand side of ``option=name``."""
    yield from arguments
    for double, single in _QUOTED.findall(text):
        yield double or single
    for word in _BARE.findall(text):
        yield word
        if "=" in word:
            yield word.rpartition("=")[2]
