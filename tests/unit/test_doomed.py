"""burstd dies where the table says, and nowhere else."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field

import pytest

from burstd.adapters.slurm.controller import CommandController
from burstd.adapters.slurm.queue import SlurmQueue
from burstd.domain.jobs import JobState
from burstd.testing.clock import SteppedClock
from burstd.testing.doomed import Doom
from burstd.testing.points import EFFECTS, LABELS, Point
from burstd.testing.simulators import SimulatedCommands
from burstd.testing.slurm import SimulatedSlurm


class Dead(BaseException):
    """Stands in for SIGKILL."""


@dataclass
class Programs:
    """A seam that only remembers."""

    ran: list[str] = field(default_factory=list)

    def run(self, argv: list[str]) -> str:
        self.ran.append(" ".join(argv))
        return "done"


@dataclass
class Queue:
    """A claim and a give-back in a few commands."""

    slurm: Programs

    def park(self) -> None:
        self.slurm.run(["scontrol", "hold", "7"])
        self.slurm.run(["scontrol", "release", "7"])

    def give_back(self) -> None:
        self.slurm.run(["scontrol", "release", "7"])


def doomed(at: str | None) -> tuple[Queue, Programs, list[str]]:
    def die() -> None:
        raise Dead

    trace: list[str] = []
    programs = Programs()
    doom = Doom(Point.parse(at) if at else None, trace.append, die)
    return doom.wire("queue", Queue(doom.wire("slurm", programs))), programs, trace


def test_before_an_effect_it_has_not_happened_and_after_it_has() -> None:
    for at, ran in (("claim.hold.before", []), ("claim.hold.after", ["scontrol hold 7"])):
        queue, programs, _ = doomed(at)
        with pytest.raises(Dead):
            queue.park()
        assert ran == programs.ran


def test_the_same_command_is_another_effect_within_another_call() -> None:
    queue, programs, trace = doomed("return.release.before")
    queue.park()
    with pytest.raises(Dead):
        queue.give_back()
    assert 2 == len(programs.ran)
    assert ["claim.hold.before", "claim.hold.after", "claim.release.before"] == trace[:3]


def test_the_nth_time_counts() -> None:
    queue, programs, _ = doomed("claim.hold.after:2")
    queue.park()
    with pytest.raises(Dead):
        queue.park()
    assert 3 == len(programs.ran)


def test_what_has_no_effect_is_no_point() -> None:
    queue, _, trace = doomed(None)
    assert "done" == queue.slurm.run(["squeue", "-h"])
    assert [] == trace


def test_the_queue_does_all_its_work_through_a_seam_that_is_watched() -> None:
    """What stands between is not of the seam's class: a look at a forgotten job failed once."""
    clock = SteppedClock()
    slurm = SimulatedSlurm(clock)
    key = slurm.submit(name="beam")
    commands = Doom(None, lambda _: None, lambda: None).wire(
        "slurm", SimulatedCommands(controller=slurm)
    )
    names = ("onprem", "burst", "cae")
    queue = SlurmQueue(*names, clock.now, commands, CommandController(commands))
    who = queue.observe().jobs[0].identity
    slurm.cancel(key)
    clock.forward(hours=1)

    assert JobState.CANCELLED is queue.look(who).state


@pytest.mark.parametrize("text", ["claim.hold", "claim.hold.during", "clam.hold.after", "",
                                  "claim.hold.after:0", "claim.hold.after:x"])  # fmt: skip
def test_an_unknown_point_fails_loudly(text: str) -> None:
    with pytest.raises(ValueError, match="is no point"):
        Point.parse(text)


def test_the_command_refuses_an_unknown_point_before_it_starts_anything() -> None:
    words = [sys.executable, "-m", "burstd.testing.doomed", "--at", "nowhere.after"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (2, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("doomed: 'nowhere.after' is no point; python -m burstd.testing")


def test_the_table_has_no_name_twice_and_enough_points() -> None:
    assert len(set(LABELS)) == len(LABELS) == 2 * len(EFFECTS) >= 40
    assert all(str(Point.parse(label)) == label for label in LABELS)
