"""Looks at both sites and at the ledger, in as few commands as it takes."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from burstd.domain.audit import AuditRecord
from lab.host import Host
from lab.lab import Lab
from lab.oracle.evidence import Evidence, FileSeen, Life, Queued, Row

_SACCT = "JobID,User,State,ExitCode,Partition,Submit,Start,End,NodeList,JobName"
_SQUEUE = "%i|%u|%T|%P|%r|%j"
RUNS = "/scratch/burst/runs"

#: Runs on the proxy host as burstd's user, whether burstd itself runs or not.
_LEDGER = """
import json, pathlib, sqlite3, sys
path = pathlib.Path("/var/lib/burstd/ledger.db")
found = {"bursts": [], "audit": []}
db = sqlite3.connect(path, timeout=30) if path.exists() else None
if db and db.execute("select 1 from sqlite_master where name = 'bursts'").fetchone():
    bursts = "select id, job_id, array_task, stage, open, body from bursts order by created_at"
    found["bursts"] = db.execute(bursts).fetchall()
    if sys.argv[1:] == ["whole"]:
        columns = "seq, at, actor, action, subject, detail, prev, digest"
        found["audit"] = db.execute(f"select {columns} from audit order by seq").fetchall()
json.dump(found, sys.stdout)
"""
#: The same of PostgreSQL.
_POSTGRES = """
select json_build_object(
  'bursts', (select coalesce(json_agg(json_build_array(
     id, job_id, array_task, stage, open::int, body) order by created_at), '[]') from bursts),
  'audit', (select coalesce(json_agg(json_build_array(
     seq, at, actor, action, subject, detail, prev, digest) order by seq), '[]') from audit))
"""


def gather(
    lab: Lab, since: float, budget: float = 100.0, named: Collection[str] = (), database: str = ""
) -> Evidence:
    """What both sites show of jobs submitted at `since` (seconds since 1970) or later. `named`:
    on-prem jobs that accounting is asked for by their ids, too. `database`: that of the ledger, on
    the controller's PostgreSQL; empty where it is the proxy host's own.

    Not in it: what only the one knows who gave the jobs (errands), or who watched (the notary).
    """
    ctl, cctl = lab.host("ctl"), lab.host("cctl")
    rows, audit = _in_postgres(lab, database) if database else ledger(lab, whole=True)
    return Evidence(
        onprem=tuple(dict.fromkeys((*_lives(ctl, since), *_lives(ctl, since, named)))),
        far=tuple(_lives(cctl, since)),
        queue=tuple(_queue(ctl)),
        far_queue=tuple(_queue(cctl)),
        rows=rows,
        audit=audit,
        budget=budget,
        homes=dict(_homes(lab)),
        left=tuple(_left(lab)),
        runs=tuple(sorted(path.name for path in lab.share("cloud", RUNS).iterdir())),
    )


def ledger(lab: Lab, *, whole: bool = False) -> tuple[tuple[Row, ...], tuple[AuditRecord, ...]]:
    """burstd's bursts and, if ``whole``, its audit log, whether it runs or not."""
    argv = ["python3", "-c", _LEDGER, *(["whole"] if whole else [])]
    return _read(lab.host("px").run(argv, user="burstd").stdout)


def _in_postgres(lab: Lab, database: str) -> tuple[tuple[Row, ...], tuple[AuditRecord, ...]]:
    argv = ["psql", "-qAtU", "burstd", database, "-c", _POSTGRES]
    return _read(lab.host("ctl").run(argv).stdout)


def _read(text: str) -> tuple[tuple[Row, ...], tuple[AuditRecord, ...]]:
    found = json.loads(text)
    return (
        tuple(_row(*values) for values in found["bursts"]),
        tuple(_record(*values) for values in found["audit"]),
    )


def _lives(host: Host, since: float, named: Collection[str] | None = None) -> Iterator[Life]:
    # No earlier than the day: sacct's -S chooses by state, not by submission. By its time it lists
    # no job that was held last, since a hold takes the eligible time from a job; by its id it does.
    chosen = ["-S", "now-1day"] if named is None else ["-j", ",".join(named) or "0"]
    argv = ["sacct", "-n", "-X", "-P", "-D", "-a", *chosen, "-o", _SACCT]
    out = host.run(argv, env={"SLURM_TIME_FORMAT": "%s"}).stdout
    for line in out.splitlines():
        f = line.split("|", 9)
        if len(f) == 10 and _number(f[5]) >= int(since):
            state = (f[2].split() or [""])[0]
            times = (_number(f[5]), _number(f[6]), _number(f[7]))
            yield Life(f[0], f[9], f[1], state, f[3], f[4], *times, _nodes(f[8]))


def _nodes(text: str) -> tuple[str, ...]:
    """The lab's own notation: n1, c[1-2], None assigned."""
    if text.endswith("[1-2]"):
        return tuple(f"{text[:-5]}{number}" for number in (1, 2))
    return tuple(text.split(","))


def _queue(host: Host) -> Iterator[Queued]:
    for line in host.run(["squeue", "-h", "-a", "-r", "-o", _SQUEUE]).stdout.splitlines():
        key, user, state, partition, reason, name = line.split("|", 5)
        yield Queued(key, name, user, state, reason, partition)


def _row(id: str, job: int, task: int | None, stage: str, open: int, body: str) -> Row:
    kept: dict[str, Any] = json.loads(body)
    key = str(job) if task is None else f"{job}_{task}"
    cost = kept.get("cost")
    return Row(
        id, key, stage, bool(open), float(kept["reserved"]), None if cost is None else float(cost),
        remains=bool(kept.get("remains")),
    )  # fmt: skip


def _record(seq: int, at: str, *rest: str) -> AuditRecord:
    actor, action, subject, detail, prev, digest = rest
    moment = datetime.fromisoformat(at)
    return AuditRecord(seq, moment, actor, action, subject, json.loads(detail), prev, digest)


def _homes(lab: Lab) -> Iterator[tuple[str, FileSeen]]:
    for user in ("alice", "bob"):
        top = lab.share("onprem", f"/home/{user}")
        for path in files_below(top):
            if (seen := look(path)) is not None:
                yield f"/home/{user}/{path.relative_to(top)}", seen


def files_below(top: Path) -> Iterator[Path]:
    """Regular files and links, in a tree that others change."""
    for directory, _, names in os.walk(top):
        for name in names:
            yield Path(directory, name)


def look(path: Path) -> FileSeen | None:
    """A file as it is now; None if it went away meanwhile."""
    try:
        seen = path.lstat()
        regular = stat.S_ISREG(seen.st_mode)
        content = path.read_bytes() if regular else bytes(path.readlink())
    except FileNotFoundError:
        return None
    digest = hashlib.sha256(content).hexdigest()
    return FileSeen(digest, stat.S_IMODE(seen.st_mode), int(seen.st_mtime), seen.st_uid)


def _left(lab: Lab) -> Iterator[str]:
    px, login = lab.host("px"), lab.host("login")
    if px.run(["ip", "link", "show", "burst0"], check=False).returncode == 0:
        yield "the link's interface"
    if "10.200.0.3" in login.sh("wg show wg0 allowed-ips"):
        yield "the gate still knows a session's keys"
    for name in ("login", "c1", "c2"):
        users = "cae01,cae02"
        ps = f"ps -u {users} -o args= | grep -v -e '^sshd' -e '(sd-pam)' || true"
        if processes := lab.host(name).sh(ps).strip():
            yield f"on {name}: {processes!r}"
    for path in px.sh("ls -d /tmp/burst-agent-* 2>/dev/null || true").split():
        yield f"the agent's {path}"
    for where in ("c1", "c2"):
        for path in lab.host(where).sh("ls -d /tmp/burst* 2>/dev/null || true").split():
            yield f"{path} on {where}"


def _number(text: str) -> float:
    return float(text) if text.isdigit() else 0.0
