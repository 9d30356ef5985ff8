"""Everything but burstd is killed: agents, Slurm's daemons on both sides, the link, the runner."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from burstd.testing.points import Point
from demo import install
from lab.host import Host
from lab.oracle import Finding
from lab.oracle.evidence import FAR_NODES
from lab.oracle.gather import ledger
from tests.fault.errands import Job, array, serial, write
from tests.fault.rig import SAVED, Rig, during
from tests.fault.scene import Scene

Act = Callable[[Rig], None]

FEW = (serial("one", 8), array())
#: Killed with all its processes it fails, as it would have on-prem; what it had written comes home.
DOOMED = (
    replace(
        serial("one", 1),
        body=f"{write('top.txt', 'one: on top' + chr(10))}\nsync; sleep 60",
        results={"top.txt": "one: on top\n"},
        ends=frozenset({("FAILED", "*")}),
        completes=False,
        lands=True,
    ),
)
#: Slurm does not begin its output anew.
APPENDS = (replace(serial("one", 45), options=("--open-mode=append",)), array())
WORKLOAD = "serial, array"


def scenes() -> list[Scene]:
    """One scene a death."""
    return [
        *(_scene(f"agent-{stage}", _agents_at(stage)) for stage in ("staging_in", "running")),
        _scene("agent-staging_out", _agents_at("staging_out")),
        _scene("proxy-slurmd", _service("px", "slurmd", "running")),
        *(
            _scene(
                f"slurmctld-claim+{age:g}s", _controller_after("claim.release.after", "ctl", age)
            )
            for age in (0, 2, 8)
        ),
        Scene("dead/slurmctld-loses-a-submission", "serial, a stranger", _lost_submission),
        Scene("dead/far-slurmctld-loses-a-twin", "serial, a stranger", _lost_twin),
        Scene("dead/far-slurmctld-loses-a-start", "serial", _lost_start),
        _scene("slurmctld-running", _service("ctl", "slurmctld", "running")),
        *(
            _scene(
                f"far-slurmctld-submit+{age:g}s", _controller_after("far.submit.after", "cctl", age)
            )
            for age in (0, 3, 8)
        ),
        _scene("far-slurmctld-running", _far_controller, (serial("one", 25), array())),
        _scene("slurmdbd-running", _service("ctl", "slurmdbd", "running", 15)),
        _scene("far-slurmdbd-running", _service("cctl", "slurmdbd", "running", 15)),
        *(_scene(f"netd-{stage}", _netd_at(stage)) for stage in ("staging_in", "running")),
        _scene("netd-staging_out", _netd_at("staging_out")),
        _scene("gate-running", _service("login", "wireguard", "running", 5)),
        _scene("slurmstepd", _stepd),
        _scene("proxy-reboot", _reboot),
        _scene("proxy-reboot-append", _forgetful_reboot, APPENDS),
        _scene("runner", _far_processes("burst-far.* run ", newest=True), DOOMED),
        _scene("far-job", _far_processes("."), DOOMED, _untidied),
        _scene("far-node", _far_node, DOOMED, _untidied),
    ]


def _scene(
    name: str, act: Act, jobs: tuple[Job, ...] = FEW, allowed: Callable[[str], bool] | None = None
) -> Scene:
    def play(run: Rig) -> list[Finding]:
        found = during(run, jobs, act)
        return tolerated(found, allowed) if allowed else found

    return Scene(f"dead/{name}", WORKLOAD, play)


def tolerated(found: Sequence[Finding], is_fine: Callable[[str], bool]) -> list[Finding]:
    """Without the violations that are fine here."""
    left = [replace(f, violations=tuple(v for v in f.violations if not is_fine(v))) for f in found]
    return [finding for finding in left if finding.violations]


def _untidied(violation: str) -> bool:
    """A work directory whose every process was killed: the next run on that node removes it."""
    return violation.startswith("/tmp/burst-")


def _agents_at(stage: str) -> Act:
    """All of alice's agents, three times: whatever they are at."""

    def act(run: Rig) -> None:
        run.at("one", stage)
        for _ in range(3):
            run.px.sh("pkill -9 -u alice -f 'burstd.agent|burst-wait' || true")
            time.sleep(1.5)

    return act


def _service(host: str, name: str, stage: str, seconds: float = 0) -> Act:
    def act(run: Rig) -> None:
        run.at("one", stage)
        killed(run.lab.host(host), name, seconds)

    return act


def killed(host: Host, service: str, seconds: float = 0) -> None:
    """A daemon dies and comes back after a while."""
    host.stop_service(service, signal.SIGKILL)
    time.sleep(seconds)
    host.start_service(service)


def _controller_after(label: str, host: str, age: float) -> Act:
    """Within its save interval slurmctld forgets what it has acknowledged."""

    def act(run: Rig) -> None:
        run.label(label)
        time.sleep(age)
        killed(run.lab.host(host), "slurmctld")

    return act


def _far_controller(run: Rig) -> None:
    """It has saved that it started the job: what happens before that is `_lost_start`."""
    run.until(lambda: run.notary.said("one"), "one runs away")
    time.sleep(SAVED)
    killed(run.cctl, "slurmctld")


def _netd_at(stage: str) -> Act:
    def act(run: Rig) -> None:
        run.at("one", stage)
        run.px.kill("burst-netd", signal.SIGKILL)
        run.px.run(["ip", "link", "del", "burst0"], check=False)
        time.sleep(2)
        install.start_netd(run.lab)

    return act


def _stepd(run: Rig) -> None:
    """The stand-in's slurmstepd: whatever ran below it must not go on unseen."""
    run.at("one", "running")
    job = run.key("one")
    run.px.sh(f"pkill -9 -f 'slurmstepd: \\[{job}\\.' || true")
    time.sleep(2)


def _reboot(run: Rig) -> None:
    """The proxy node goes away with all that ran on it, long enough for Slurm to give it up."""
    run.at("one", "running")
    run.px.sh("pkill -9 slurmd; pkill -9 slurmstepd; pkill -9 -u alice; true")
    run.until(lambda: "down" in _node(run, "px"), "Slurm has given the proxy up", 90)
    run.px.start_service("slurmd")
    run.until(lambda: "down" not in _node(run, "px"), "the proxy is back", 60)


def _forgetful_reboot(run: Rig) -> None:
    """What has come of its output is there, and nobody on that node remembers it."""
    output = next(errand.output for errand in run.errands if errand.name == "one")
    file = run.lab.share("onprem", output)
    run.until(lambda: file.exists() and b"begins" in file.read_bytes(), "its output comes")
    run.px.sh("pkill -9 slurmd; pkill -9 slurmstepd; pkill -9 -u alice; rm -rf /tmp/burst-agent-*")
    run.until(lambda: "down" in _node(run, "px"), "Slurm has given the proxy up", 90)
    run.px.start_service("slurmd")
    run.until(lambda: "down" not in _node(run, "px"), "the proxy is back", 60)


def _node(run: Rig, name: str) -> str:
    host = run.cctl if name in FAR_NODES else run.ctl
    return host.run(["sinfo", "-h", "-n", name, "-o", "%T"]).stdout


def _far_processes(pattern: str, newest: bool = False) -> Act:
    def act(run: Rig) -> None:
        run.until(lambda: run.notary.said("one"), "one runs away")
        for name in sorted(FAR_NODES):
            which = "-n" if newest else ""
            run.lab.host(name).sh(f"pkill -9 {which} -u cae01 -f '{pattern}' || true")

    return act


def _far_node(run: Rig) -> None:
    """The node with the serial job is lost, and Slurm there says NODE_FAIL."""
    run.until(lambda: run.notary.said("one"), "one runs away")
    name = run.cctl.run(["squeue", "-h", "-n", run.twin("one"), "-o", "%N"]).stdout.strip()
    node = run.lab.host(name)
    node.sh("pkill -9 slurmd; pkill -9 slurmstepd; pkill -9 -u cae01; true")
    run.until(lambda: "down" in _node(run, name), "Slurm has given it up", 90)
    node.start_service("slurmd")


def _lost_submission(run: Rig) -> list[Finding]:
    """A job is claimed before slurmctld has saved that it was submitted. It is forgotten between
    two changes, and its id is given to somebody else, whose job nobody may touch."""
    run.fill()
    run.freezes = True
    run.begin([Point.parse("claim.move.after")])
    time.sleep(SAVED)
    saved = SavedState.of(run.ctl)
    run.give(serial("one", 8))
    run.label("claim.move.after")
    lost = run.ids["one"]
    run.errands.clear()  # Slurm itself has lost it: nothing can come of it
    saved.crash()
    stranger = Stranger.submit(run.ctl, "bob")
    run.go_on()
    run.until(lambda: lost in _closed(run), "the lost job's burst is closed")
    run.empty()
    found = run.finish()
    return [*found, *stranger.wrongs(lost)]


def _lost_twin(run: Rig) -> list[Finding]:
    """The same at the far end: the twin is forgotten and its id is a stranger's."""
    run.fill()
    run.give(serial("one", 8))
    run.begin([Point.parse("far.submit.before")])
    run.dead()
    saved = SavedState.of(run.cctl)
    run.label("far.submit.after")
    (lost,) = run.cctl.run(["squeue", "-h", "-o", "%i"]).stdout.split()
    saved.crash()
    stranger = Stranger.submit(run.cctl, "cae02")
    run.at("one", "running")
    run.empty()
    return [*run.finish(), *stranger.wrongs(lost)]


def _lost_start(run: Rig) -> list[Finding]:
    """It is killed before it has saved that it started a twin: it shows it as held, finds it on its
    node and ends it there. What it had written by then comes home."""
    before = _releases(run)
    run.fill()
    run.give(DOOMED[0])
    run.begin([Point.parse("far.start.before")])
    run.dead()
    time.sleep(SAVED)
    saved = SavedState.of(run.cctl)
    run.until(lambda: run.notary.said("one"), "one runs away")
    saved.crash()
    run.empty()
    found = tolerated(run.finish(), _untidied)
    if (releases := _releases(run) - before) != 1:
        found.append(Finding("2 started once", (f"the twin was released {releases} times",)))
    return found


def _releases(run: Rig) -> int:
    """How often the far slurmctld was told to let a job start, by its own log."""
    return int(run.cctl.sh("grep -c 'release hold on JobId' /var/log/slurm/slurmctld.log || true"))


def _closed(run: Rig) -> set[str]:
    return {row.job for row in ledger(run.lab)[0] if not row.open}


@dataclass(frozen=True)
class SavedState:
    """What slurmctld had saved at one moment. It saves at most every five seconds: a crash sooner
    finds this again, whatever was acknowledged since."""

    host: Host

    @classmethod
    def of(cls, host: Host) -> SavedState:
        host.sh("rm -rf /var/spool/kept && cp -a /var/spool/slurmctld /var/spool/kept")
        return cls(host)

    def crash(self) -> None:
        """kill -9, and what comes up remembers no more than this."""
        self.host.stop_service("slurmctld", signal.SIGKILL)
        self.host.sh("rm -rf /var/spool/slurmctld && mv /var/spool/kept /var/spool/slurmctld")
        self.host.start_service("slurmctld")


@dataclass(frozen=True)
class Stranger:
    """Somebody else's job, submitted in the moment when an id is free again."""

    host: Host
    id: str

    @classmethod
    def submit(cls, host: Host, user: str) -> Stranger:
        argv = ["sbatch", "--parsable", "-J", "stranger", "-o", "/dev/null", "--wrap", "sleep 5"]
        return cls(host, host.run(argv, user=user).stdout.strip())

    def wrongs(self, id: str) -> list[Finding]:
        """It has the id that was lost, no mark of burstd's, and came to its own end."""
        argv = ["sacct", "-n", "-X", "-P", "-D", "-j", self.id, "-o", "JobName,State,ExitCode"]
        rows = self.host.run(argv).stdout.split()
        said = [row for row in rows if row.startswith("stranger|")]  # the lost job's stays PENDING
        right = (id, ["stranger|COMPLETED|0:0"])
        marked = re.search(r"Extra=\S*", self.host.run(["scontrol", "show", "job", self.id]).stdout)
        if (self.id, said) == right and not marked:
            return []
        wrong = f"job {self.id}: {said} {marked and marked[0]}, not {right}"
        return [Finding("5 a stranger is left alone", (wrong,))]
