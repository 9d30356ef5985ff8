"""What the agent leaves at the target, and how it says so."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from burstd.agent.agent import Agent
from burstd.agent.memory import Memory, to_report
from burstd.agent.meter import Metered
from burstd.agent.standin import StandIn
from burstd.domain.data import Mark, OutputFile, from_rows
from burstd.ports import depot
from burstd.ports.depot import Came, Growing
from tests.sim.trees import Api
from tests.unit.test_landing import entry


class Ended:
    """The far end of a job that is over; its files have their names in them."""

    def __init__(self, *listed: OutputFile) -> None:
        self.listed = list(listed)

    def growing(self) -> Growing:
        return Growing()

    def outputs(self, _secret: str) -> depot.Ended:
        return depot.Ended(self.listed, exit_code=0)

    def expect(self, entries: Any) -> None:
        pass

    def fetch(self, entry: OutputFile, into: int, came: Came, similar: int | None) -> None:
        os.ftruncate(into, 0)
        os.pwrite(into, Path(entry.path).name.encode(), 0)
        came(entry.size)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("home", "private"):
        (tmp_path / name).mkdir()
    return tmp_path / "home"


def brought(home: Path, copies: Mapping[str, Mark], *names: str) -> tuple[dict[str, Any], str]:
    """The reports, and what the job's error output says."""
    api: Any = Api({**to_report([], {}, [str(home)]), "secret": "00"})
    far: Any = Ended(*(entry(home / name, name.encode()) for name in names))
    private = home.parent / "private"
    memory = Memory(private)
    memory.copies.update(copies)
    job = StandIn("7", 0, private, (), home, {}, merged=False)
    agent = Agent(job, api, memory, None, None)  # type: ignore[arg-type]
    words: dict[str, Any] = {"burst": "b1", "target": "cloud", "most_bytes": None, "links": True}
    words |= {"scratch": [], "on_demand": {"globs": ["*.big"], "for": "7 days"}}
    agent._stage_out(words, Metered(far, memory, None))
    return api.reports, "\n".join(memory.said)


def test_what_is_on_demand_is_told_and_does_not_come(home: Path) -> None:
    told, said = brought(home, {}, "a.big", "b.big", "c.frd")
    assert ["c.frd"] == [path.name for path in home.iterdir()]
    assert [f"{home}/a.big", f"{home}/b.big"] == [
        file.path for file in from_rows(told["remains"]["files"])
    ]
    assert {"files": 1, "bytes": 5} == {n: told["staged_out"][n] for n in ("files", "bytes")}
    assert "2 files, 0.0 MB, stay at cloud for 7 days: burst pull 7 lists them" in said


def test_what_lies_here_in_part_comes_whole(home: Path) -> None:
    (home / "a.big").write_bytes(b"a.")
    seen = (home / "a.big").stat()
    copy = Mark(seen.st_size, seen.st_mtime_ns, seen.st_ino)
    told, said = brought(home, {f"{home}/a.big": copy}, "a.big")
    assert b"a.big" == (home / "a.big").read_bytes()
    assert [] == told["remains"]["files"]
    assert "stay" not in said
