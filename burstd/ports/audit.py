"""How an effect is written into the audit log: before it is attempted, and again if it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from burstd.ports.errors import PortError

#: Writes one effect down: its name, the burst that it is for ("": the one under way), its facts.
Tell = Callable[[str, str, Mapping[str, object]], None]


def nobody(_name: str, _burst: str, _facts: Mapping[str, object]) -> None:
    """Where there is no log."""


LONGEST_CAUSE = 300  #: characters


@contextmanager
def told(tell: Tell, name: str, subject: str = "", **facts: object) -> Iterator[None]:
    """The effect is in the block."""
    tell(f"effect.{name}", subject, facts)
    try:
        yield
    except PortError as error:
        tell("effect.failed", subject, {"what": name, "cause": str(error)[:LONGEST_CAUSE]})
        raise
