"""A remote Slurm, looked at for ``burst doctor``. Two commands there; nothing is left behind."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from burstd.domain import slurm
from burstd.domain.findings import CERTIFICATES, CREDENTIALS, Area, Finding, clock, room
from burstd.domain.gres import GPU, Gres
from burstd.ports.clock import Clock
from burstd.ports.errors import AccessDenied, PortError
from burstd.ports.remote import Failed, RemoteShell
from burstd_slurm.batch import MARGIN
from burstd_slurm.settings import SlurmTargetSettings

TIME = 60.0  #: seconds for all questions; each has ten of its own
#: Prints "== NAME CODE" and the output of each question. ``timeout`` is coreutils'.
QUESTIONS = """\
say() {
  name=$1; shift; out=$(timeout 10 "$@" 2>&1); code=$?
  printf '== %s %s\\n%s\\n' "$name" $code "$out"
}
root=$1 partition=$2 account=$3; shift 3
say commands scontrol -V
say config scontrol show config
if [ "$code" = 0 ]; then
  say before date +%s
  say diagnostics sdiag
  say after date +%s
  say rights sacctmgr -n -P show user "name=$account" format=adminlevel
  say partition scontrol show partition "$partition" -o
  say nodes sinfo -h -e -p "$partition" -o '%D|%c|%m|%G'
fi
say root stat -L -c '%a %U' "$root"
say runs stat -L -c '%a %U' "$root/runs"
say disk df -P -k "$root"
say groups id -nG
for user; do say "user:$user" id -u "$user"; say "groups:$user" id -nG "$user"; done
"""
#: Runs the far program's own choice of a runtime from memory: no file is made there.
_RUNTIME = """\
import os, sys
if sys.version_info < (3, 9): sys.exit("Python %d.%d is too old" % sys.version_info[:2])
far = os.memfd_create("burst-far")
with open(far, "wb", closefd=False) as file: file.write(sys.stdin.buffer.read())
sys.path.insert(0, "/proc/self/fd/%d" % far)
from burstd.far.runtimes import choose
chosen, trouble = choose(sys.argv[1].split(","))
if chosen is None: sys.exit(trouble)
print("%d.%d" % sys.version_info[:2], chosen.name, chosen.version().split()[-1])
"""


@dataclass(frozen=True)
class Answer:
    """What one question gave: its exit code and all it printed."""

    code: int
    text: str

    @property
    def short(self) -> str:
        """For a line of a report."""
        return " ".join(self.text.split())[:200] or f"no answer (exit code {self.code})"


@dataclass(frozen=True)
class NodeRow:
    """Nodes that are all alike; memory in MiB."""

    count: int
    cores: int
    memory: int
    gpus: tuple[Gres, ...] = ()  #: of all of them together

    @classmethod
    def parse(cls, line: str) -> NodeRow | None:
        """A line of ``sinfo -o '%D|%c|%m|%G'``; ``None``: it is none. Of ``gpu:a100:2(S:0-1)`` the
        end in brackets tells where the GPUs sit."""
        found = re.fullmatch(r"(\d+)\|(\d+)\|(\d+)\|(.*)", line.strip())
        if found is None:
            return None
        count, words = int(found[1]), re.sub(r"\([^)]*\)", "", found[4]).split(",")
        each = (Gres.parse(word) for word in words if word)
        gpus = (replace(g, count=(g.count or 0) * count) for g in each if g.name == GPU)
        return cls(count, int(found[2]), int(found[3]), tuple(gpus))


NOTHING = Answer(127, "was not asked")
_AGAIN = "run burst doctor again when it answers"


def answers(text: str) -> dict[str, Answer]:
    """The sections that ``QUESTIONS`` printed, by name."""
    parts = re.split(r"^== (\S+) (\d+)\n", text, flags=re.MULTILINE)[1:]
    triples = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    return {name: Answer(int(code), body.strip()) for name, code, body in triples}


@dataclass(frozen=True)
class Examination:
    """``program``: the far program's file on this machine."""

    name: str
    settings: SlurmTargetSettings
    shell: RemoteShell
    clock: Clock
    program: Path

    def __call__(self) -> Iterator[Finding]:
        """Everything, or why nothing can be asked."""
        area, s = Area(f"target {self.name}"), self.settings
        before, started = self.clock.now().timestamp(), time.monotonic()
        try:
            told = self.shell.run(s.service_user, ["date", "+%s"], deadline=20.0)
            blur = (time.monotonic() - started) / 2
            yield area.ok("login", f"{s.service_user}@{s.host} answers in {blur * 2:.1f} s")
            ahead = int(told) + 0.5 - before - blur
            yield clock(area, s.host, ahead, blur + 0.5, CERTIFICATES)
            argv = ["sh", "-c", QUESTIONS, "sh", str(s.root), s.partition, s.service_user]
            told = self.shell.run(s.service_user, [*argv, *s.users.values()], deadline=TIME)
        except (PortError, ValueError) as error:
            yield area.failed("login", str(error), _login(s, error))
            return
        yield from judge(area, s, answers(told))
        yield self._runtime(area)

    def _runtime(self, area: Area) -> Finding:
        s, check = self.settings, "container runtime"
        argv = [s.python, "-c", _RUNTIME, ",".join(s.runtimes)]
        try:
            with self.program.open("rb") as file:
                told = self.shell.run(s.service_user, argv, file, TIME).split()
        except Failed as error:
            what = " or ".join(s.runtimes)
            fix = f"install Python 3.9 or newer and {what} on the login and the compute nodes of "
            return area.failed(check, str(error), f"{fix}{self.name}; settings.python, .runtimes")
        except PortError as error:
            return area.unknown(check, str(error), _AGAIN)
        return area.ok(check, f"{' '.join(told[1:])}, Python {told[0]}, on the login node")


def _login(settings: SlurmTargetSettings, error: Exception) -> str:
    who = f"{settings.service_user}@{settings.host}"
    if isinstance(error, AccessDenied):
        return (
            f"let the target's sshd trust the public half of paths.ssh_authority "
            f"(TrustedUserCAKeys), see that {who} exists and that its clock is right"
        )
    return f"see that sshd runs there and that settings.known_hosts has its host key: {who}"


def judge(
    area: Area, settings: SlurmTargetSettings, told: Mapping[str, Answer]
) -> Iterator[Finding]:
    """What the answers mean."""
    yield from _controller(area, settings, told)
    yield _time(area, told)
    yield from _partition(area, settings, told.get("partition", NOTHING))
    yield _nodes(area, settings, told.get("nodes", NOTHING))
    yield from _directories(area, settings, told)
    yield _disk(area, settings, told.get("disk", NOTHING))
    yield _users(area, settings, told)
    if settings.store_group:
        yield _store_group(area, settings, settings.store_group, told)


def _controller(
    area: Area, settings: SlurmTargetSettings, told: Mapping[str, Answer]
) -> Iterator[Finding]:
    config, rights = told.get("config", NOTHING), told.get("rights", NOTHING)
    try:
        controller = slurm.Controller.parse(config.text)
    except ValueError:
        fix = "start slurmctld there, and see that `scontrol ping` works on its login node"
        yield area.failed("slurmctld", config.short, fix)
        return
    yield area.ok("slurmctld", f"answers for {controller.cluster}")
    yield slurm.release(area, controller.version, told.get("commands", NOTHING).text)
    if rights.code and controller.accounted:
        yield area.unknown("rights", rights.short, "start slurmdbd there")
    else:
        yield slurm.rights(area, settings.service_user, rights.text, controller)


def _time(area: Area, told: Mapping[str, Answer]) -> Finding:
    """slurmctld's clock against the login node's, of which munge knows no hour's difference."""
    theirs = slurm.controller_time(told.get("diagnostics", NOTHING).text)
    around = [told.get(name, NOTHING).text for name in ("before", "after")]
    if theirs is None or not all(text.isdigit() for text in around):
        hint = "compare `date +%s` on its machine and on the login node"
        return area.unknown("clock of slurmctld", "sdiag printed no time", hint)
    first, last = (int(text) for text in around)
    there = replace(CREDENTIALS, than="the login node")
    return clock(area, "slurmctld", theirs - (first + last) / 2, (last - first) / 2 + 1.0, there)


def _partition(area: Area, settings: SlurmTargetSettings, told: Answer) -> Iterator[Finding]:
    name, longest = settings.partition, settings.max_time + MARGIN
    if told.code and "not found" not in told.text:
        yield area.unknown(f"partition {name}", told.short, _AGAIN)
        return
    shown = {} if told.code else slurm.record(told.text)
    yield slurm.partition_state(area, name, shown)
    try:
        limit = slurm.time_limit(shown.get("MaxTime", "UNLIMITED"))
    except ValueError:
        limit = None
    if limit is not None and limit < longest:
        seen = f"MaxTime {limit} is less than max_time {settings.max_time} and {MARGIN} for results"
        fix = f"raise MaxTime of {name} there, or lower settings.max_time of {area.name}"
        yield area.warning(f"limits of {name}", seen, fix)
    elif shown:
        enough = "UNLIMITED" if limit is None else str(limit)
        yield area.ok(f"limits of {name}", f"MaxTime {enough}, max_time {settings.max_time}")


def _nodes(area: Area, settings: SlurmTargetSettings, told: Answer) -> Finding:
    """What is promised of the partition's nodes is there: a job that fits none of them would be
    refused, or wait for ever. sinfo(1), -e: rows of nodes that are all alike."""
    check = f"nodes of {settings.partition}"
    rows = [NodeRow.parse(line) for line in told.text.splitlines()]
    known = [row for row in rows if row is not None]
    if told.code or not known or len(known) < len(rows):
        return area.unknown(check, told.short, _AGAIN)
    gpus = [gres for row in known for gres in row.gpus]
    cores, memory = max(row.cores for row in known), max(row.memory for row in known)
    number = sum(gres.count or 0 for gres in gpus)
    there = {"node_cores": cores, "node_memory": memory, "max_gpus": number}
    promised = {
        "node_cores": settings.node_cores, "node_memory": settings.node_memory,
        "max_gpus": settings.max_gpus,
    }  # fmt: skip
    wrong = [
        f"settings.{name} is {promised[name]}, there are {most}"
        for name, most in there.items()
        if (promised[name] or 0) > most
    ]
    missing = sorted(set(settings.gpu_types) - {gres.type for gres in gpus})
    wrong += [f"no node has GPUs of type {name} (settings.gpu_types)" for name in missing]
    if wrong:
        fix = f"correct what [targets] says of {area.name}: such jobs are sent there in vain"
        return area.warning(check, "; ".join(wrong), fix)
    seen = f"{sum(row.count for row in known)}, the largest has {cores} CPUs and {memory} MiB"
    return area.ok(check, f"{seen}; {number} GPUs")


def _directories(
    area: Area, settings: SlurmTargetSettings, told: Mapping[str, Answer]
) -> Iterator[Finding]:
    root, user = settings.root, settings.service_user
    for name, path, right, fix, again in (
        ("root", root, 0o755, f"install -d -o {user} -m 755 {root}", f"chown {user} {root} && "),
        ("runs", root / "runs", 0o1777, f"install -d -m 1777 {root}/runs", ""),
    ):
        answer = told.get(name, NOTHING)
        found = re.fullmatch(r"([0-7]+) (\S+)", answer.text)
        if answer.code or found is None:
            yield area.failed(f"directory {name}", answer.short, f"{fix}, at {area.name}")
            continue
        mode, owner = int(found[1], 8), found[2]
        seen = f"{path} belongs to {owner}, mode {mode:04o}"
        wrong = mode & right != right or (name == "root" and owner != user)
        cure = f"{again}chmod {right:o} {path}, at {area.name}"
        yield area.judge(f"directory {name}", seen if wrong else "", seen, cure)


def _disk(area: Area, settings: SlurmTargetSettings, told: Answer) -> Finding:
    """POSIX df(1): 1024-blocks, used, available."""
    found = re.search(r"\s(\d+)\s+\d+\s+(\d+)\s+\d+%\s", told.text)
    if found is None:
        return area.unknown("disk space", told.short, f"df -P -k {settings.root} at {area.name}")
    return room(area, str(settings.root), int(found[2]) * 1024, int(found[1]) * 1024)


def _users(area: Area, settings: SlurmTargetSettings, told: Mapping[str, Answer]) -> Finding:
    missing = {
        far: here
        for here, far in settings.users.items()
        if told.get(f"user:{far}", NOTHING).code != 0
    }
    pairs = ", ".join(f"{far} (for {here})" for far, here in missing.items())
    fix = f"add the account there, or correct settings.users of {area.name} in config.toml"
    trouble = f"no such account there: {pairs}" if missing else ""
    return area.judge("users", trouble, f"{len(settings.users)} accounts are there", fix)


def _store_group(
    area: Area, settings: SlurmTargetSettings, group: str, told: Mapping[str, Answer]
) -> Finding:
    """Who is not in it can't use the store, and so can't burst."""
    asked = {settings.service_user: "groups"}
    asked |= {far: f"groups:{far}" for far in settings.users.values()}
    outside = [
        who for who, name in asked.items() if group not in told.get(name, NOTHING).text.split()
    ]
    trouble = f"not in group {group}: {', '.join(outside)}" if outside else ""
    fix = f"usermod -a -G {group} USER for each, at {area.name}; or leave settings.store_group out"
    return area.judge("store group", trouble, f"{len(asked)} accounts are in {group}", fix)
