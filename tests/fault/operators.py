"""What people ask of burstd about jobs that are away: return, freeze, cancel, quarantine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from lab.oracle import Finding
from lab.oracle.gather import ledger
from tests.fault.errands import CANCELLED, array, endless, serial, wide
from tests.fault.rig import SAVED, Rig, Stuck, during
from tests.fault.scene import Scene
from tests.fault.users import BOTH

FEW = (serial("one", 8), array())
EARLY = ("claiming", "staging_in", "submitted", "permitting")


def scenes() -> list[Scene]:
    """Each request, `return` at each stage."""
    few = "serial, array"
    return [
        *(Scene(f"operator/return-{stage}", few, _returned(stage)) for stage in EARLY),
        Scene("operator/return-too-late", few, _too_late),
        Scene("operator/return-all", "serial, array, 2 nodes", _all_returned),
        Scene("operator/freeze", few, _frozen),
        Scene("operator/cancel-staging_in", few, _cancelled("staging_in")),
        Scene("operator/cancel-running", few, _cancelled("running")),
        Scene("operator/quarantine-running", few, _quarantined),
        Scene("operator/far-cancel-waiting", "serial", _cancelled_there),
    ]


def burst(run: Rig, *words: str, user: str = "root") -> str:
    """What `burst` prints, for root, who may all of it."""
    done = run.px.run(["burst", *words], user=user, check=False)
    return done.stdout + done.stderr


def _returned(stage: str) -> Callable[[Rig], list[Finding]]:
    """By its own user. Who asks so late that the twin may start gets its results instead."""

    def act(run: Rig) -> None:
        run.at("one", stage)
        said = burst(run, "return", run.key("one"), "--no-wait", user="alice")
        if "on its way home" in said:
            run.until(lambda: _settled(run, "one"), "it is home, or was faster")

    return lambda run: during(run, (replace(FEW[0], where=BOTH), FEW[1]), act)


def _settled(run: Rig, name: str) -> bool:
    return run.stage(name) in {"returned", "running", "staging_out", "settled"}


def _too_late(run: Rig) -> list[Finding]:
    """It runs away: it is not begun at home."""

    def act(run: Rig) -> None:
        run.until(lambda: run.notary.said("one"), "it runs away")
        said = burst(run, "return", run.key("one"), user="alice")
        if "running" not in said:
            raise Stuck(f"burst return of a running job says {said!r}")

    return during(run, FEW, act)


def _all_returned(run: Rig) -> list[Finding]:
    """The line is dead, and nothing has been submitted: all of them come home, and run there."""
    jobs = [replace(job, where=frozenset({"onprem"})) for job in (*FEW, wide())]
    run.fill()
    run.give(*jobs)
    time.sleep(SAVED)
    run.lab.wan.set(cut=True)
    run.begin()
    keys = {errand.key for errand in run.errands}
    run.until(lambda: _stages(run, keys) == {"staging_in"}, "all of them stand in")
    burst(run, "return-all", "--no-wait", "--why", "the line is down")
    run.empty()
    home = "squeue -h -r -a -t PD,R -p burst"
    run.until(lambda: not run.ctl.sh(home), "none of them stands in any more", 60)
    _nothing_leaves(run)
    run.lab.wan.set()
    run.until(run.over, "all of them are closed")
    burst(run, "thaw")
    return run.finish()


def _stages(run: Rig, keys: set[str]) -> set[str]:
    stages = {row.job: row.stage for row in ledger(run.lab)[0]}
    return {stages.get(key, "") for key in keys}


def _nothing_leaves(run: Rig) -> None:
    begun = len(ledger(run.lab)[0])
    time.sleep(5)
    if len(ledger(run.lab)[0]) != begun:
        raise Stuck("a job has left though bursting is frozen")


def _frozen(run: Rig) -> list[Finding]:
    """Nothing leaves a full cluster until it is thawed."""
    run.fill()
    run.begin()
    run.until(lambda: "frozen" in burst(run, "freeze", "--why", "maintenance"), "it is frozen")
    run.give(*FEW)
    time.sleep(SAVED)
    _nothing_leaves(run)
    burst(run, "thaw")
    run.at("one", "running")
    run.empty()
    return run.finish()


def _cancelled(stage: str) -> Callable[[Rig], list[Finding]]:
    """As scancel does it."""

    def act(run: Rig) -> None:
        run.at("one", stage)
        run.change("one", cancelled_at=time.time())  # noqa: TID251
        burst(run, "cancel", run.key("one"), user="alice")

    return lambda run: during(run, (replace(endless("one"), ends=CANCELLED), FEW[1]), act)


def _cancelled_there(run: Rig) -> list[Finding]:
    """A far administrator ends what waits there for a node: it goes home, and runs there."""
    partition = "scontrol update partitionname=hpc state="
    run.cctl.sh(f"{partition}down")
    try:
        run.fill()
        run.give(replace(FEW[0], where=frozenset({"onprem"})))
        time.sleep(SAVED)
        run.begin()
        run.until(lambda: _waits_there(run, "one"), "its twin may start and waits")
        run.cctl.run(["scancel", f"--name={run.twin('one')}"])
        run.until(lambda: run.stage("one") == "returned", "it is home")
    finally:
        run.cctl.sh(f"{partition}up")
    run.empty()
    return run.finish()


def _waits_there(run: Rig, name: str) -> bool:
    """Not held any more: Slurm itself says what it waits for."""
    if run.stage(name) != "running":
        return False
    reason = ["squeue", "-h", f"--name={run.twin(name)}", "-t", "PD", "-o", "%r"]
    return run.cctl.run(reason).stdout.strip() == "PartitionDown"


def _quarantined(run: Rig) -> list[Finding]:
    """Nothing is done to it until it is released: then its results come home."""

    def act(run: Rig) -> None:
        run.until(lambda: run.notary.said("one"), "it runs away")
        burst(run, "quarantine", "add", run.key("one"), "--why", "odd")
        time.sleep(15)  # its twin has ended meanwhile
        if run.stage("one") != "quarantined":
            raise Stuck(f"it is {run.stage('one')}, not quarantined")
        burst(run, "quarantine", "release", run.key("one"))

    return during(run, FEW, act)
