"""What the agent keeps between two of its lives: a private directory that survives exec, and
burstd's copy of the manifest for the case that the whole machine went away."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from burstd.domain.data import InputFile, Mark

DIRECTORY = "BURST_AGENT_DIR"


@dataclass
class Memory:
    """``directory`` (0700) holds keys and this state; gone with the stand-in."""

    directory: Path
    positions: dict[str, int] = field(default_factory=dict)
    copies: dict[str, Mark] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    trouble_since: float | None = None  #: seconds since 1970

    @property
    def _file(self) -> Path:
        return self.directory / "state.json"

    def save(self) -> None:
        """Whole or not at all."""
        state = {
            "positions": self.positions,
            "copies": {path: asdict(mark) for path, mark in self.copies.items()},
            "said": self.said,
            "trouble_since": self.trouble_since,
        }
        temporary = self.directory / "state.new"
        temporary.write_text(json.dumps(state))
        temporary.rename(self._file)

    def forget(self) -> None:
        """Remove the directory."""
        shutil.rmtree(self.directory, ignore_errors=True)


def recall() -> Memory:
    """This stand-in's memory: of its earlier lives, or a new one."""
    known = os.environ.get(DIRECTORY)
    if known is not None and (Path(known) / "state.json").exists():
        state = json.loads((Path(known) / "state.json").read_text())
        copies = {path: Mark(**mark) for path, mark in state["copies"].items()}
        return Memory(
            Path(known), state["positions"], copies, state["said"], state["trouble_since"]
        )
    memory = Memory(Path(tempfile.mkdtemp(prefix="burst-agent-")))
    os.environ[DIRECTORY] = str(memory.directory)
    memory.save()
    return memory


def to_report(
    files: list[InputFile], marks: Mapping[str, Mark], roots: list[str]
) -> dict[str, Any]:
    """The stage-in report: the egress manifest, and what the landing must know."""
    return {
        "files": [asdict(file) for file in files],
        "marks": {path: [m.size, m.mtime_ns, m.inode] for path, m in marks.items()},
        "roots": roots,
        "bytes": sum(file.size for file in files),
    }


def from_report(body: Mapping[str, Any]) -> tuple[dict[str, Mark], tuple[Path, ...]]:
    """Marks and roots of ``to_report``."""
    marks = {path: Mark(*values) for path, values in body["marks"].items()}
    return marks, tuple(Path(root) for root in body["roots"])
