"""``burst pull``: files of a job that still runs, when its user asks for them."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from burstd.agent.landing import Landing
from burstd.agent.meter import Metered
from burstd.domain.data import Mark, OutputFile
from burstd.ports.depot import Seen

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
        else it may hold bytes of different moments. Raises what the depot and a landing raise."""
        found = [self._one(seen, patterns) for seen in self.depot.matching(patterns)]
        return {"files": [file for file in found if file], "notes": self.landing.notes}

    def _one(self, seen: Seen, patterns: Sequence[str]) -> dict[str, Any] | None:
        left = self.depot.left
        if left is not None and seen.size > left:
            note = f"{seen.path} has {seen.size} bytes, more than is paid for: it was left there"
            self.landing.notes.append(note)
            return None
        for _ in range(TRIES):
            entry = OutputFile(seen.path, "file", seen.size, "", seen.mtime_ns, seen.mode)
            mark = self.landing.copy(entry)
            if mark is None:
                return None
            self.copies[seen.path] = mark
            self.remember()
            now = next((f for f in self.depot.matching(patterns) if f.path == seen.path), seen)
            if now == seen:
                return {"path": seen.path, "bytes": seen.size, "whole": True}
            seen = now
        return {"path": seen.path, "bytes": entry.size, "whole": False}
