"""What a controller has on disk of its state: some seconds less than what it acknowledges."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

SAVED_AFTER = timedelta(seconds=5)  #: SAVE_MAX_WAIT of Slurm's ``state_save.c``
NEVER = datetime.min.replace(tzinfo=UTC)

State = TypeVar("State")


@dataclass
class Saves(Generic[State]):
    """States by the moment at which they were acknowledged, oldest first."""

    kept: list[tuple[datetime, State]] = field(default_factory=list)

    def note(self, now: datetime, state: State) -> None:
        """The state from ``now`` on; what no crash can come back to any more is dropped."""
        horizon = now - 2 * SAVED_AFTER
        recent = [save for save in self.kept if save[0] > horizon]
        last = [save for save in self.kept if save[0] <= horizon][-1:]
        self.kept = [*last, *recent, (now, state)]

    def back(self, horizon: datetime) -> State:
        """The state as it was then, or the oldest that is known."""
        return [state for at, state in self.kept if at <= horizon or at == self.kept[0][0]][-1]
