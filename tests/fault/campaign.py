"""The campaign: scenes one after the other on one lab, each with its verdict, resumable."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.errors import LabError
from lab.lab import Lab
from tests.fault.rig import Stuck, rig
from tests.fault.scene import Scene


@dataclass(frozen=True)
class Result:
    """What one scene gave. `verdict`: "ok" or what is wrong, in words."""

    scene: str
    workload: str
    verdict: str
    seconds: float

    @property
    def ok(self) -> bool:
        return self.verdict == "ok"


@dataclass
class Book:
    """Results on disk, kept after every scene: an interrupted campaign goes on where it was."""

    path: Path

    def read(self) -> dict[str, Result]:
        """By scene; nothing if there is no book yet."""
        if not self.path.exists():
            return {}
        entries = json.loads(self.path.read_text())["results"]
        return {entry["scene"]: Result(**entry) for entry in entries}

    def add(self, result: Result) -> None:
        """Keep it, in place of an earlier one of the same scene."""
        results = {**self.read(), result.scene: result}
        ok = all(one.ok for one in results.values())
        kept = {"ok": ok, "results": [asdict(one) for one in results.values()]}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(kept, indent=1))
        fresh.rename(self.path)


def play(lab: Lab, scene: Scene) -> Result:
    """One scene, its faults among the findings."""
    began = time.monotonic()
    try:
        _resume(lab)
        lab.up()  # a scene may have left a service dead
        with rig(lab) as run:
            found = scene.play(run)
        verdict = "; ".join(map(str, found)) or "ok"
    except (Stuck, LabError) as error:
        verdict = str(error)
    return Result(scene.name, scene.workload, verdict, round(time.monotonic() - began, 1))


def _resume(lab: Lab) -> None:
    """As its administrator does: a node that is told to start a job a second time, by a slurmctld
    that has forgotten the first, is drained by Slurm."""
    with suppress(LabError):
        lab.host("cctl").run(["scontrol", "update", "nodename=c1,c2", "state=resume"], check=False)


def chosen(scenes: Iterable[Scene], pattern: str, done: Iterable[Result]) -> list[Scene]:
    """The scenes whose name has the pattern and that have not been found well before."""
    well = {result.scene for result in done if result.ok}
    return [s for s in scenes if re.search(pattern, s.name) and s.name not in well]


def run(
    lab: Lab, scenes: Sequence[Scene], book: Book, tell: Callable[[int, Scene, Result], None]
) -> bool:
    """Play them all; True if every one is well."""
    results = []
    for number, scene in enumerate(scenes, 1):
        result = play(lab, scene)
        book.add(result)
        tell(number, scene, result)
        results.append(result)
    return all(result.ok for result in results)
