"""Is our SPANK plugin active on this proxy node? Reads plugstack.conf as slurmd does (spank(8))."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from burstd.domain.findings import Area, Finding

PLUGIN = "burst_spank.so"
CHECK = "SPANK plugin"
#: How to install it stands there.
PAGE = "docs/install.md, section 1"


@dataclass(frozen=True)
class Stacked:
    """Our line in the plug stack. ``programs``: what it starts, from agent= and keep=."""

    required: bool
    file: str
    programs: tuple[str, ...]


def stacked(text: str, include: Callable[[str], Iterator[str]]) -> Iterator[Stacked]:
    """Our lines. ``include`` gives the texts of the files that a pattern names."""
    for line in text.splitlines():
        word, *rest = line.partition("#")[0].split() or [""]
        if word == "include" and rest:
            for other in include(rest[0]):
                yield from stacked(other, include)
        elif word in {"required", "optional"} and rest and Path(rest[0]).name == PLUGIN:
            options = dict(option.partition("=")[::2] for option in rest[1:])
            programs = tuple(options[name] for name in ("agent", "keep") if name in options)
            yield Stacked(word == "required", rest[0], programs)


def examine(area: Area, plugstack: Path) -> Finding:
    """The plugin of this machine's slurmd. Raises ``OSError`` where its files can't be read."""

    def include(pattern: str) -> Iterator[str]:
        place = Path(pattern)
        if not place.is_absolute():
            place = plugstack.parent / place
        for file in sorted(place.parent.glob(place.name)):
            yield file.read_text()

    lines = list(stacked(plugstack.read_text(), include)) if plugstack.exists() else []
    if not lines:
        return area.failed(
            CHECK,
            f"{plugstack} names no {PLUGIN}: user code would run on the proxy node",
            f"write its line into {plugstack} as {PAGE} says; nothing needs a restart",
        )
    return _usable(area, plugstack, lines[0])


def _usable(area: Area, plugstack: Path, line: Stacked) -> Finding:
    for file, right, how in (
        (line.file, os.R_OK, "compile it"),
        *((program, os.X_OK, "install it") for program in line.programs),
    ):
        if not Path(file).is_file():
            fix = f"{how} as {PAGE} says, or correct its path in {plugstack}"
            return area.failed(CHECK, f"{plugstack} names {file}, which is not there", fix)
        if not os.access(file, right):
            fix = f"chmod 755 {file}"
            return area.failed(CHECK, f"{file} can't be {_VERBS[right]} by everyone", fix)
    seen = f"{line.file} is in {plugstack}"
    if not line.required:
        fix = f"write `required` in place of `optional` into {plugstack}"
        return area.warning(CHECK, f"{seen}, but optional: without it user code would run", fix)
    return area.ok(CHECK, seen)


_VERBS = {os.R_OK: "read", os.X_OK: "executed"}
