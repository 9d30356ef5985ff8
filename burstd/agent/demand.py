"""``burst pull``: files of a job that still runs, when its user asks for them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from glob import escape
from typing import Any

from burstd.agent.landing import Landing
from burstd.agent.meter import Metered
from burstd.domain.data import Mark, OutputFile
from burstd.ports.depot import Seen
from burstd.ports.errors import Mismatch, Permanent, Rejected

#: A file that is being written is read again, of which only what has changed travels.
TRIES = 3
REMEMBERED_EVERY = 1.0  #: seconds
LOOKED_EVERY = 8.0  #: seconds until the job's output goes on, though more is to be brought


@dataclass
class Demand:
    """``known``: how names looked at stage-in; ``copies``: see ``Follower``; they are remembered
    now and then. ``follow``: a look at what grows, while many files come."""

    depot: Metered
    landing: Landing
    known: Mapping[str, Mark]
    copies: MutableMapping[str, Mark]
    remember: Callable[[], None]
    follow: Callable[[], object] = field(default=lambda: None)
    _remembered: float = field(default=-math.inf, init=False)  #: when, monotonic
    _looked: float = field(default_factory=time.monotonic, init=False)  #: when, too

    def bring(self, patterns: Sequence[str]) -> dict[str, Any]:
        """Those that match, for the report. ``whole``: no byte was written to it while it was read;
        else it may hold bytes of different moments. What can't be brought is told in ``notes``;
        raises ``Transient``: then nobody knows yet."""
        notes, found = self.landing.notes, list[dict[str, Any]]()
        try:
            seen = self.depot.matching(patterns)
        except Permanent as error:
            return {"files": [], "notes": [f"nothing was brought: {error}"]}
        changed = [one for one in seen if not self._is_as_sent(one)]
        if same := len(seen) - len(changed):
            notes.append(f"{same} files that match are as they were sent: they stay as they are")
        try:
            for one in changed:
                self._go_on()
                try:
                    told = self._one(one)
                    found += [told] if told else []
                except (Permanent, OSError) as error:
                    why = error.strerror if isinstance(error, OSError) else error
                    notes.append(f"{one.path} was not brought: {why}")
        finally:
            self.remember()
        return {"files": found, "notes": notes}

    def _go_on(self) -> None:
        """What comes may take hours; output and live files are not to stand still for so long."""
        if time.monotonic() - self._looked > LOOKED_EVERY:
            self.follow()
            self.landing.marks.update(self.copies)
            self._looked = time.monotonic()

    def _is_as_sent(self, seen: Seen) -> bool:
        """The job has not written to it: its own name at home may be open, as the output of
        another job is."""
        mark = self.known.get(seen.path)
        return mark is not None and mark[:2] == (seen.size, seen.mtime_ns)

    def _now(self, seen: Seen) -> Seen | None:
        below = seen.path.removeprefix(f"{self.landing.roots[0]}/")
        return next((f for f in self.depot.matching([escape(below)]) if f.path == seen.path), None)

    def _one(self, seen: Seen) -> dict[str, Any] | None:
        told: dict[str, Any] | None = None
        for _ in range(TRIES):
            try:
                if not self._copy(seen):
                    return None
                told = {"path": seen.path, "bytes": seen.size}
            except Mismatch:  # it has become shorter since
                told = None
            now = self._now(seen)
            if told and now in {seen, None}:
                return {**told, "whole": True}
            if now is None:
                raise Rejected("its job has removed it")
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
            if time.monotonic() - self._remembered > REMEMBERED_EVERY:
                self.remember()
                self._remembered = time.monotonic()
        return mark is not None
