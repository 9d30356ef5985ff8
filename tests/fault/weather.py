"""The WAN: cut for a second, a minute, longer than a job runs, for ever; narrow, and far."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from lab.oracle import Finding
from tests.fault.errands import Job, array, serial
from tests.fault.rig import Rig, Stuck, during
from tests.fault.scene import Scene

Act = Callable[[Rig], None]

FEW = (serial("one", 8), array())
WORKLOAD = "serial, array"
#: Its hard deadline is a minute after its start.
HANGING = replace(
    serial("one", 600),
    minutes=1,
    ends=frozenset({("FAILED", "1:0")}),
    completes=False,
    lands=True,
    results={},
    body="sleep 600",
)
#: Its results take half a minute at 1 Mbit/s.
LARGE = replace(
    serial("one"),
    body=f"sleep 4\nyes {'x' * 79} | head -40000 | result big.txt",
    results={"big.txt": f"{'x' * 79}\n" * 40_000},
)


def scenes() -> list[Scene]:
    """Each weather with the stage at which it begins."""
    return [
        _scene("cut-1s-running", _cut("running", 1)),
        *(_scene(f"cut-60s-{stage}", _cut(stage, 60)) for stage in STAGES),
        _scene("flapping", _flapping),
        _scene("cut-past-the-end", _cut("running", 30)),
        *(
            Scene(f"wan/for-ever-{stage}", "serial", _for_ever(stage))
            for stage in ("staging_in", "submitted", "staging_out")
        ),
        Scene("wan/for-ever-running", "serial, past its hard deadline", _past_the_deadline),
        _scene("1mbit", _always(rate="1mbit")),
        _scene("500ms", _always(delay="250ms")),
    ]


STAGES = ("staging_in", "submitted", "running", "staging_out")


def _scene(name: str, act: Act, jobs: tuple[Job, ...] = FEW) -> Scene:
    def play(run: Rig) -> list[Finding]:
        return during(run, jobs, act)

    return Scene(f"wan/{name}", WORKLOAD, play)


def _cut(stage: str, seconds: float) -> Act:
    def act(run: Rig) -> None:
        run.at("one", stage)
        run.lab.wan.set(cut=True)
        time.sleep(seconds)
        run.lab.wan.set()

    return act


def _flapping(run: Rig) -> None:
    """Six times a minute, from the claim on."""
    run.at("one", "staging_in")
    for _ in range(9):
        run.lab.wan.set(cut=True)
        time.sleep(4)
        run.lab.wan.set()
        time.sleep(6)
        run.tend()


def _always(rate: str | None = None, delay: str | None = None) -> Act:
    def act(run: Rig) -> None:
        run.lab.wan.set(rate, delay)

    return act


def _for_ever(stage: str) -> Callable[[Rig], list[Finding]]:
    """Nothing that was sent away is run at home, however long the line is dead. What can never
    end is ended by the line's return, so that the rest of the story can be judged."""

    def play(run: Rig) -> list[Finding]:
        run.fill()
        run.give(LARGE if stage == "staging_out" else serial("one", 5))
        run.begin()
        if stage == "staging_out":  # so that the line is cut in the middle of it
            run.until(lambda: run.notary.said("one"), "it runs away")
            run.lab.wan.set(rate="1mbit")
        run.at("one", stage)
        run.lab.wan.set(cut=True)
        run.empty()
        away = run.state(run.key("one"))
        _watch(run, 45)
        if run.state(run.key("one")) != away:
            raise Stuck(f"{away} became {run.state(run.key('one'))} with the line dead")
        run.lab.wan.set()
        return run.finish()

    return play


def _past_the_deadline(run: Rig) -> list[Finding]:
    """The far end stops by itself; nothing is run at home."""
    run.fill()
    run.give(HANGING)
    run.begin(high="0.001", low="0.0005")  # core-hours: it is a short job
    run.until(lambda: run.notary.said("one"), "it runs away")
    run.lab.wan.set(cut=True)
    run.empty()
    run.until(lambda: not run.cctl.sh("squeue -h"), "the far end stops by itself", 120)
    _watch(run, 20)
    if "burst RUNNING" != run.state(run.key("one")):
        raise Stuck(f"the job is {run.state(run.key('one'))} though nobody can know of its end")
    run.lab.wan.set()
    return run.finish()


def _watch(run: Rig, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        run.tend()
        time.sleep(0.5)
