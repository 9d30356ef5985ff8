"""How hard packs are compressed: as the line, and the two ends of it, leave time for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

#: zstd's, the second at the start, the first: not at all. Where packs wait for the line the next is
#: tried, where the line waits for packs the one before; without any only a line that has waited for
#: so many in a row.
LEVELS, FIRST, HUNGRY = (0, 1, 3, 6), 1, 32
#: Of its time, what the far end has waited for the line with the last packs. Where it waits for
#: less it is the slower one, and once so many packs have shown that, others are sent as they are.
#: If it does not take those so much faster, that is given up, and tried again after twice as many.
IDLE, SEEN, PATIENCE, FASTER = 0.2, 8, 32, 0.95


@dataclass
class Taking:
    """What the far end does with its time while packs come, as it says itself; older ones count
    less and less. ``packs``: below 0, so many first ones do not count at all."""

    packs: int = 0
    _weight: float = 0.0
    _idle: float = 0.0
    _busy: float = 0.0

    def add(self, idle: int, busy: int) -> None:
        """Microseconds, of one more pack."""
        self.packs += 1
        if self.packs > 0:
            left = 1 - 1 / SEEN
            self._weight = self._weight * left + 1
            self._idle = self._idle * left + idle
            self._busy = self._busy * left + busy

    @property
    def each(self) -> float:
        """Microseconds from one pack to the next."""
        return (self._idle + self._busy) / self._weight if self._weight else 0.0

    @property
    def waits(self) -> bool:
        """For the line, and not the others for it."""
        return self._idle >= IDLE * (self._idle + self._busy)


@dataclass
class Steering:
    """Of one line."""

    taking: Taking = field(default_factory=Taking)
    _level: int = FIRST  #: of LEVELS
    _waited: int = 0  #: packs in a row that the line has waited for
    #: Microseconds of a pack before they were sent as they are, since the far end has been the
    #: slower one.
    _usual: float | None = None
    _patience: int = PATIENCE

    @property
    def level(self) -> int:
        """That of the next pack; 0: as it is."""
        return LEVELS[self._level]

    def steer(self, made: Sequence[bool], most: int, coming: int) -> None:
        """A pack is about to be sent, the first of these, of which at most so many wait: are they
        made yet? ``coming``: packs that the far end has not told of."""
        if self._spares(coming):
            self._level = 0
        elif not made[0]:
            self._waited += 1
            if self._level > FIRST or self._waited >= HUNGRY:
                self._level = max(0, self._level - 1)
        elif len(made) >= most - 1 and all(made):
            if self.taking.waits:
                self._level = min(len(LEVELS) - 1, self._level + 1)
            elif self._level > FIRST:  # they wait for the far end
                self._level -= 1
            self._waited = 0
        else:
            self._waited = 0

    def _spares(self, coming: int) -> bool:
        """Whether the far end gets packs that it need not open."""
        taking = self.taking
        if self._usual is None:
            if taking.packs < self._patience or taking.waits:
                return False
            self._usual, self.taking = taking.each, Taking(-coming)
        elif taking.packs >= SEEN and taking.each > FASTER * self._usual:
            self._usual, self.taking, self._level = None, Taking(-coming), FIRST
            self._patience *= 2
            return False
        return True

    def steer_by(self, made: float, sent: float, lanes: int) -> None:
        """The same by the seconds that a pack took to make and to send, where several are under way
        at once."""
        if sent > lanes * made > 0:
            self._level = min(len(LEVELS) - 1, self._level + 1)
        elif sent < made:
            self._level = max(FIRST, self._level - 1)
