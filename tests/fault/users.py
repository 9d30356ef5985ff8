"""What users do to jobs that are away, or about to leave."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from lab.oracle import Finding
from tests.fault.errands import CANCELLED, Job, array, endless, serial
from tests.fault.rig import SAVED, Rig, Stuck, during
from tests.fault.scene import Scene

Act = Callable[[Rig], None]

RACES = 200
BOTH = frozenset({"cloud", "onprem"})


def scenes() -> list[Scene]:
    """One scene an act and a moment."""
    early = ("claiming", "staging_in", "submitted")
    return [
        *(Scene(f"user/scancel-{stage}", "serial", _cancelled(stage)) for stage in early),
        Scene("user/scancel-running", "until it is ended", _cancelled("running")),
        *(Scene(f"user/scancel-{s}", "serial", _too_late(s)) for s in ("staging_out", "settling")),
        _scene("requeue-running", _requeued, (_again(serial("one", 8)),)),
        _scene("requeuehold-running", _requeued_to_wait, (_again(serial("one", 8)),)),
        _scene("hold-running", _command("scontrol hold {}"), (serial("one", 8), array())),
        _scene("update-running", _updated, (serial("one", 8), array())),
        _scene("update-claiming", _updated_while_claimed, (serial("one", 5), array())),
        Scene("user/races", f"{RACES} short jobs, nodes just free", _races),
    ]


def _scene(name: str, act: Act, jobs: tuple[Job, ...]) -> Scene:
    def play(run: Rig) -> list[Finding]:
        return during(run, jobs, act)

    return Scene(f"user/{name}", ", ".join(job.name for job in jobs), play)


def _cancelled(stage: str) -> Callable[[Rig], list[Finding]]:
    def play(run: Rig) -> list[Finding]:
        run.fill()
        run.give(endless("one"), array())
        time.sleep(SAVED)
        run.begin()
        run.at("one", stage)
        run.cancel("one")
        run.until(lambda: all(run.reached(f"sweep_{n}", "running") for n in (1, 2)), "others run")
        run.empty()
        return run.finish()

    return play


def _too_late(stage: str) -> Callable[[Rig], list[Finding]]:
    """Its payload has come to its end: what there is comes home, under either state."""

    def play(run: Rig) -> list[Finding]:
        run.fill()
        run.give(serial("one", 3))
        run.begin()
        run.at("one", stage)
        run.change("one", ends=CANCELLED | {("COMPLETED", "0:0")})
        run.ctl.run(["scancel", run.key("one")], user="alice", check=False)
        run.empty()
        return run.finish()

    return play


def _again(job: Job) -> Job:
    """It starts once more, on-prem, and comes to its end once."""
    return replace(job, starts=2, where=BOTH)


def _command(text: str) -> Act:
    def act(run: Rig) -> None:
        run.until(lambda: run.notary.said("one"), "it runs away")
        run.ctl.run(text.format(run.key("one")).split(), user="alice", check=False)

    return act


def _requeued(run: Rig) -> None:
    """The user wants it to start anew."""
    run.until(lambda: run.notary.said("one"), "it runs away")
    run.ctl.run(["scontrol", "requeue", run.key("one")], user="alice")
    time.sleep(2)


def _requeued_to_wait(run: Rig) -> None:
    """It waits at home, on free nodes, until the user lets it go."""
    run.until(lambda: run.notary.said("one"), "it runs away")
    run.ctl.run(["scontrol", "requeuehold", run.key("one")], user="alice")
    run.until(lambda: run.stage("one") == "settled", "its burst is closed")
    run.empty()
    time.sleep(10)
    if run.state(run.key("one")) != "cae PENDING":
        raise Stuck(f"it is {run.state(run.key('one'))} though its user holds it")
    run.ctl.run(["scontrol", "release", run.key("one")], user="alice")


def _updated(run: Rig) -> None:
    run.until(lambda: run.notary.said("one"), "it runs away")
    for pair in ("comment=hello", "timelimit=30", "nice=50", "name=other"):
        argv = ["scontrol", "update", f"jobid={run.key('one')}", pair]
        run.ctl.run(argv, user="alice", check=False)
        time.sleep(0.7)


def _updated_while_claimed(run: Rig) -> None:
    """Over and over, in whatever instant the claim is at."""
    key = run.key("one")
    script = (
        f"for n in $(seq 40); do scontrol update jobid={key} comment=n$n timelimit=$((20 + n)); "
        "sleep 0.05; done >/dev/null 2>&1; true"
    )
    run.ctl.run(["sh", "-c", script], user="alice")


def _races(run: Rig) -> list[Finding]:
    """Nodes become free in the moment in which burstd claims: each job runs here or there."""
    jobs = [replace(serial(f"r{n:03}", 0), where=BOTH) for n in range(RACES)]
    run.patience = 900
    run.fill()
    run.give(*jobs)
    time.sleep(SAVED)
    run.begin()
    run.label("claim.hold.before")
    run.empty()
    return run.finish()
