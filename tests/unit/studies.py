"""A job's directory, and the job itself as slurmd starts it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from burstd.agent.standin import StandIn


class Put(Protocol):
    """Write a file below the job's directory."""

    def __call__(self, name: str, content: str | bytes = "") -> Path: ...


def stand_in(directory: Path, text: str, *arguments: str, **environment: str) -> StandIn:
    """A job whose batch script was spooled elsewhere, as slurmd does."""
    spool = directory.parent / f"spool-{directory.name}"
    spool.mkdir(exist_ok=True)
    script = spool / "slurm_script"
    script.write_text(text)
    return StandIn("1", 0, script, arguments, directory, environment, merged=True)
