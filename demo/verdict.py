"""The verdict: what must be true, judged from outside burstd's own records."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from demo.people import Alice
from demo.reference import Tree, read_tree
from demo.study import CANARY, Job, Study
from lab.lab import Lab


@dataclass(frozen=True)
class Check:
    """One line of the verdict."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class Record:
    """One job, or array task, in ``sacct``."""

    state: str
    exit_code: str
    partition: str
    start: float
    end: float


@dataclass
class Evidence:
    """What the story leaves for the judge."""

    lab: Lab
    study: Study
    alice: Alice
    reference: Tree
    capture: Path
    live: list[str] = field(default_factory=list)  #: what was read on-prem while it ran away
    twin_gone: str = ""  #: why the cancelled job's twin is proven gone; "" if it is not

    def records(self) -> dict[str, Record]:
        """sacct's view of all her jobs by id (123 or 123_4)."""
        fields = "JobID,State,ExitCode,Partition,Start,End"
        argv = ["sacct", "-n", "-X", "-P", "-D", "-u", "alice", "-S", "now-1hour", "-o", fields]
        out = self.lab.host("ctl").run(argv, env={"SLURM_TIME_FORMAT": "%s"}).stdout
        rows = (line.split("|") for line in out.splitlines())
        return {
            r[0]: Record(r[1].split()[0], r[2], r[3], _number(r[4]), _number(r[5])) for r in rows
        }

    def keys(self, job: Job) -> list[str]:
        """sacct's ids of one job."""
        number = self.alice.ids[job.name]
        return [f"{number}_{task}" for task in job.tasks] or [number]


def _number(text: str) -> float:
    return float(text) if text.isdigit() else 0.0


def judge(evidence: Evidence) -> list[Check]:
    """All lines, in the order of the story."""
    checks: list[tuple[str, Callable[[Evidence], Iterator[str]], str]] = [
        ("job ids, State and ExitCode in sacct", _accounting, "every job as it should be"),
        ("dependent jobs ran in the right order", _order, "afterok and afternotok held"),
        ("each payload ran exactly once", _witnesses, "by its own witness file"),
        ("outputs equal the on-prem reference", _outputs, "byte for byte but for dates"),
        ("owner and mode of every file", _owners, "alice's, as the reference has them"),
        ("the cancelled twin is gone", _twin, evidence.twin_gone),
        ("where the jobs ran", _places, ""),
        ("live: read on-prem while it ran away", _live, "; ".join(evidence.live)),
        ("nothing but UDP/51820 on the WAN", _packets, ""),
        ("no canary on the WAN", _canary, "searched in the whole capture"),
        ("nothing left at the cloud site", _leftovers, "no run directory, job or process"),
        ("the link is down", _link, "no interface, no session peer at the gate"),
        ("the ledger holds core-hours and money", _ledger, ""),
    ]
    found = []
    for name, check, good in checks:
        wrong = list(check(evidence))
        detail = [line[1:] for line in wrong if line.startswith("+")]
        bad = [line for line in wrong if not line.startswith("+")]
        found.append(Check(name, not bad, "; ".join(bad) or "; ".join(detail) or good))
    return found


def write(checks: list[Check], path: Path) -> bool:
    """``verdict.json``; True if every line holds."""
    ok = all(check.ok for check in checks)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"ok": ok, "checks": [asdict(c) for c in checks]}, indent=1))
    return ok


# Each check yields what is wrong; a line that begins with "+" is a fact to show, not a fault.


def _accounting(e: Evidence) -> Iterator[str]:
    records = e.records()
    for job in e.study.jobs:
        for key in e.keys(job):
            got = records.get(key)
            if got is None:
                yield f"{job.name}: {key} is not in sacct"
            elif got.state != job.state or (not job.cancelled and got.exit_code != job.exit_code):
                wanted = f"{job.state} {job.exit_code}"
                yield f"{job.name} ({key}): {got.state} {got.exit_code}, not {wanted}"
    yield f"+{sum(len(e.keys(job)) for job in e.study.jobs)} jobs and tasks"


def _order(e: Evidence) -> Iterator[str]:
    records = e.records()
    for job in e.study.jobs:
        if job.after is not None:
            before = e.alice.ids[job.after[1]]
            if records[e.alice.ids[job.name]].start < records[before].end:
                yield f"{job.name} started before {job.after[1]} ended"


def _witnesses(e: Evidence) -> Iterator[str]:
    for job in e.study.jobs:
        for name in job.witnesses:
            lines = _witness(e, job, name)
            words = [line.split()[0] for line in lines]
            wanted = [["start"]] if job.cancelled else [["start", "end"]]
            if words not in wanted:
                yield f"{name}: {words}"


def _witness(e: Evidence, job: Job, name: str) -> list[str]:
    path = e.lab.share("onprem", f"{e.alice.home}/{job.directory}/witness.{name}")
    return path.read_text().splitlines() if path.exists() else []


def _places(e: Evidence) -> Iterator[str]:
    here, away = 0, 0
    for job in e.study.jobs:
        for name in job.witnesses:
            host = (_witness(e, job, name) or ["none nowhere"])[0].split()[1]
            where = {"n1": "onprem", "n2": "onprem", "c1": "cloud", "c2": "cloud"}.get(host, host)
            here, away = here + (where == "onprem"), away + (where == "cloud")
            if where != job.where:
                yield f"{name} ran {where}, not {job.where}"
    if here < 1 or away < 8:
        yield f"{here} on-prem and {away} in the cloud"
    yield f"+{away} in the cloud, {here} on-prem"


def _compared(e: Evidence) -> tuple[dict[str, object], dict[str, object]]:
    """Both trees without what is each run's own: witnesses, and the cancelled job's directory."""
    skip = {job.directory for job in e.study.jobs if job.cancelled}

    def keep(name: str) -> bool:
        top, _, rest = name.partition("/")
        return top not in skip and not rest.startswith("witness.")

    got = read_tree(e.lab.share("onprem", e.alice.home))
    return (
        {name: entry for name, entry in got.items() if keep(name)},
        {name: entry for name, entry in e.reference.items() if keep(name)},
    )


def _outputs(e: Evidence) -> Iterator[str]:
    got, wanted = _compared(e)
    yield from (f"{name} is missing" for name in sorted(set(wanted) - set(got)))
    yield from (f"{name} should not be there" for name in sorted(set(got) - set(wanted)))
    for name in sorted(set(got) & set(wanted)):
        if getattr(got[name], "digest", "") != getattr(wanted[name], "digest", ""):
            yield f"{name} differs"
    yield f"+{len(wanted)} files and directories equal, dates left out"


def _owners(e: Evidence) -> Iterator[str]:
    top = e.lab.share("onprem", e.alice.home)
    for path in top.rglob("*"):
        if (path.lstat().st_uid, path.lstat().st_gid) != (1001, 1001):
            yield f"{path.relative_to(top)} belongs to {path.lstat().st_uid}"
    got, wanted = _compared(e)
    for name in sorted(set(got) & set(wanted)):
        mode, right = getattr(got[name], "mode", 0), getattr(wanted[name], "mode", 0)
        if mode != right:
            yield f"{name} has mode {mode:o}, not {right:o}"


def _twin(e: Evidence) -> Iterator[str]:
    if not e.twin_gone:
        yield "not proven"


def _live(e: Evidence) -> Iterator[str]:
    if not e.live:
        yield "no line was seen on-prem while its job ran in the cloud"


#: The tunnel itself, how hosts find each other, and a kernel's word that the tunnel's port is
#: closed: the far gate's last packet may come behind the end of the link. What that quotes (RFC
#: 792) is the packet's beginning, which is sealed.
_TUNNEL = "udp port 51820"
_CLOSED = "(icmp[0] == 3 and icmp[1] == 3 and icmp[17] == 17 and icmp[28:2] == 51820)"
_KNOWN = f"{_TUNNEL} or arp or {_CLOSED}"


def _packets(e: Evidence) -> Iterator[str]:
    def count(what: str) -> int:
        argv = ["tcpdump", "-n", "-r", str(e.capture), what]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        return len(done.stdout.splitlines())

    other, tunnel = count(f"not ({_KNOWN})"), count(_TUNNEL)
    if other:
        yield f"{other} other packets"
    if not tunnel:
        yield "the capture is empty"
    yield f"+{tunnel} packets, {e.capture.stat().st_size >> 20} MiB, all UDP/51820"


def _canary(e: Evidence) -> Iterator[str]:
    content = e.capture.read_bytes()
    if CANARY.encode() in content or CANARY.encode("utf-16-le") in content:
        yield "the canary was seen"


def _leftovers(e: Evidence) -> Iterator[str]:
    login = e.lab.host("login")
    if runs := login.sh("ls -A /scratch/burst/runs").split():
        yield f"run directories {runs}"
    if jobs := login.sh("squeue -h").strip():
        yield f"jobs {jobs}"
    for name in ("login", "c1", "c2"):
        host = e.lab.host(name)
        left = host.sh("ps -u cae01,cae02 -o args= | grep -v '^sshd' || true").strip()
        if left:
            yield f"{name}: {left}"


def _link(e: Evidence) -> Iterator[str]:
    if e.lab.host("px").run(["ip", "link", "show", "burst0"], check=False).returncode == 0:
        yield "burst0 is still there"
    peers = e.lab.host("login").sh("wg show wg0 allowed-ips")
    if "10.200.0.3" in peers:
        yield "the gate still knows the session's keys"


def _ledger(e: Evidence) -> Iterator[str]:
    px = e.lab.host("px")
    total, hours = 0.0, 0.0
    for job in e.study.jobs:
        if job.where == "cloud":
            for key in e.keys(job):
                out = px.run(["burst", "show", key, "--json"], user="alice", check=False).stdout
                shown = json.loads(out or "{}").get("burst", {})
                if shown.get("stage") != "settled" or not shown.get("core_hours"):
                    yield f"{job.name} ({key}): {shown}"
                    continue
                total, hours = total + float(shown["cost"]), hours + shown["core_hours"]
    yield f"+{hours:.4f} core-hours, {total:.4f} EUR"
