"""``burst pull``: files of a job that still runs, when its user asks for them."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from burstd.agent.landing import Landing
from burstd.agent.meter import Metered
from burstd.domain.data import Mark, OutputFile
from burstd.ports.depot import Seen
from burstd.ports.errors import Mismatch, Permanent, Rejected

#: A file that is being written is read again, of which only what has changed travels.
TRIES = 3


@dataclass
class Demand:
    """``copies``: see ``Follower``; each is remembered as soon as it is there."""

    depot: Metered
    landing: Landing
    copies: MutableMapping[str, Mark]
    remember: Callable[[], None]

    def bring(self, patterns: Sequence[str]) -> dict[str, Any]:
        """Those that match, for the report. ``whole``: no byte was written to it while it was read;
        else it may hold bytes of different moments. What can't be brought is told in ``notes``;
        raises ``Transient``: then nobody knows yet."""
        notes, found = self.landing.notes, list[dict[str, Any]]()
        try:
            seen = self.depot.matching(patterns)
        except Permanent as error:
            return {"files": [], "notes": [f"nothing was brought: {error}"]}
        for one in seen:
            try:
                told = self._one(one, patterns)
                found += [told] if told else []
            except (Permanent, OSError) as error:
                why = error.strerror if isinstance(error, OSError) else error
                notes.append(f"{one.path} was not brought: {why}")
        return {"files": found, "notes": notes}

    def _one(self, seen: Seen, patterns: Sequence[str]) -> dict[str, Any] | None:
        told: dict[str, Any] | None = None
        for _ in range(TRIES):
            try:
                if not self._copy(seen):
                    return None
                told = {"path": seen.path, "bytes": seen.size}
            except Mismatch:  # it has become shorter since
                told = None
            now = next((f for f in self.depot.matching(patterns) if f.path == seen.path), seen)
            if told and now == seen:
                return {**told, "whole": True}
            seen = now
        if told is None:
            raise Mismatch("it is begun anew again and again")
        return {**told, "whole": False}

    def _copy(self, seen: Seen) -> bool:
        """False where its name is the user's."""
        left = self.depot.left
        if left is not None and seen.size > left:
            raise Rejected(f"its {seen.size} bytes are more than is paid for")
        entry = OutputFile(seen.path, "file", seen.size, "", seen.mtime_ns, seen.mode)
        mark = self.landing.copy(entry)
        if mark is not None:
            self.copies[seen.path] = mark
            self.remember()
        return mark is not None
