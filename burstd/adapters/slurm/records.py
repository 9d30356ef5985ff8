"""Slurm's texts to values: ``squeue`` lines and ``scontrol show job`` records."""

from __future__ import annotations

import re
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ClusterShell.RangeSet import RangeSet, RangeSetException

from burstd.domain.gres import Gres, Per
from burstd.domain.jobs import (
    JobIdentity,
    JobKey,
    JobSight,
    JobState,
    QueuedJob,
    Shape,
)
from burstd.domain.slurm import NOTHING, time_limit
from burstd.domain.usage import PastRun
from burstd.ports.errors import Unreachable

FIELD, RECORD = "\x1f", "\x1e"
#: squeue(1) ``-o``; the job name comes last. Separators that no terminal can type keep names
#: with blanks, bars or newlines apart.
QUEUE_FIELDS = [
    "i",
    "F",
    "K",
    "T",
    "r",
    "P",
    "a",
    "q",
    "u",
    "C",
    "D",
    "l",
    "V",
    "S",
    "Q",
    "b",
    "W",
    "E",
    "M",
    "N",
    "k",
    "Z",
    "j",
]

#: squeue(1) ``-t``: the states of jobs that are not over.
LIVING = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED")

_STATES: Mapping[str, JobState] = {
    "PENDING": JobState.PENDING,
    "REQUEUED": JobState.PENDING,
    "REQUEUE_HOLD": JobState.PENDING,
    "REQUEUE_FED": JobState.PENDING,
    "SPECIAL_EXIT": JobState.PENDING,
    "CONFIGURING": JobState.RUNNING,
    "RUNNING": JobState.RUNNING,
    "RESIZING": JobState.RUNNING,
    "SIGNALING": JobState.RUNNING,
    "STAGE_OUT": JobState.COMPLETING,
    "COMPLETING": JobState.COMPLETING,
    "SUSPENDED": JobState.SUSPENDED,
    "STOPPED": JobState.SUSPENDED,
    "COMPLETED": JobState.COMPLETED,
    "FAILED": JobState.FAILED,
    "BOOT_FAIL": JobState.FAILED,
    "NODE_FAIL": JobState.FAILED,
    "OUT_OF_MEMORY": JobState.FAILED,
    "TIMEOUT": JobState.FAILED,
    "DEADLINE": JobState.CANCELLED,
    "PREEMPTED": JobState.CANCELLED,
    "REVOKED": JobState.CANCELLED,
    "CANCELLED": JobState.CANCELLED,
}
#: Slurm's words for jobs that are over.
OVER = tuple(word for word, state in _STATES.items() if state.over)
_LATE = re.compile(r" (GresEnforceBind|NtasksPerTRES)=(\w+)")
_GRES = re.compile(r"\bTresPer(Node|Job|Task|Socket)=(\S+)")
#: CPUs or memory that are counted by GPUs (--cpus-per-gpu, --mem-per-gpu): no target is told so.
_BY_GRES = re.compile(r"\b((?:CpusPerTres|MemPerTres)=\S+)")


@dataclass(frozen=True)
class QueueFormat:
    """squeue's ``-o`` with separators of one call: a token that no job's name can foresee."""

    token: str

    @classmethod
    def fresh(cls) -> QueueFormat:
        """The format of the next call."""
        return cls(secrets.token_hex(4))

    @property
    def field(self) -> str:
        return f"{FIELD}{self.token}{FIELD}"

    @property
    def record(self) -> str:
        return f"{RECORD}{self.token}{RECORD}"

    @property
    def option(self) -> str:
        return self.field.join(f"%{letter}" for letter in QUEUE_FIELDS) + self.record

    def rows(self, answer: str) -> list[list[str]]:
        """The cells of squeue's answer. Raises ``Unreachable`` if it is cut off."""
        lines = answer.split(self.record + "\n")
        if lines.pop():
            raise Unreachable("squeue's answer is cut off")
        return [self._cells(line) for line in lines]

    def _cells(self, line: str) -> list[str]:
        """A comment may hold any character; the name comes last and may hold even ours."""
        *cells, name = line.split(self.field, len(QUEUE_FIELDS) - 1)
        return [*(cell.replace(FIELD, " ") for cell in cells), name]


def state(text: str) -> JobState:
    """Slurm's state word (``CANCELLED by 1001`` too); one we do not know is UNKNOWN."""
    words = text.replace("+", " ").split()
    return _STATES.get(words[0] if words else "", JobState.UNKNOWN)


def moment(text: str) -> datetime:
    """Seconds since 1970 as Slurm prints them under ``SLURM_TIME_FORMAT=%s``."""
    return datetime.fromtimestamp(int(text), UTC)


def count(text: str) -> int:
    """``4``, ``4-8`` (the least), ``1K``. Raises ``ValueError`` otherwise."""
    least = text.split("-")[0]
    scale = {"K": 1024, "M": 1024**2}.get(least[-1:], 1)
    return int(float(least.rstrip("KM")) * scale)


def mebibytes(text: str) -> int | None:
    """``2000M``, ``4G``, ``0`` (all of the node: ``None``). scontrol(1), MinMemoryNode."""
    if text in NOTHING or text == "0":
        return None
    scale = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2}.get(text[-1])
    return int(text) if scale is None else int(float(text[:-1]) * scale)


def tasks(text: str) -> tuple[int, ...]:
    """Array task ids of ``0-5,9%2`` or ``0-10:2``. Raises ``ValueError``."""
    try:
        return tuple(int(i) for i in RangeSet(text.split("%")[0].replace(":", "/")))
    except RangeSetException as error:
        raise ValueError(f"not array tasks: {text[:80]!r}") from error


def throttle(text: str) -> int | None:
    """How many of ``0-5,9%2`` may run at once (sbatch(1), ``--array``); ``None``: all."""
    _, _, most = text.partition("%")
    return int(most) if most.isdecimal() and int(most) else None


def _given(text: str) -> str:
    return "" if text in NOTHING else text


def _shared(text: str) -> str:
    """What thousands of lines say is kept once, and found by its address."""
    return sys.intern(_given(text))


def queued_job(cluster: str, cells: Sequence[str]) -> QueuedJob:
    """One job from its cells in the order of ``QUEUE_FIELDS``. Raises ``Unreachable`` if they are
    none: a list that can't be read whole is not a list."""
    if len(cells) != len(QUEUE_FIELDS):
        raise Unreachable(f"the queue has a line with {len(cells)} fields: {str(cells)[:120]}")
    f = dict(zip(QUEUE_FIELDS, cells, strict=True))
    try:
        condition = state(f["T"])
        waiting = condition is JobState.PENDING
        group = f["K"] not in NOTHING
        ids = tasks(f["K"]) if group else ()
        several = waiting and group and ("_[" in f["i"] or len(ids) > 1)
        element = ids[0] if group and not several else None
        key = JobKey(cluster, int(f["F"]), element)
        return QueuedJob(
            identity=JobIdentity(key, moment(f["V"]), sys.intern(f["u"]), f["j"]),
            state=condition,
            reason=sys.intern(f["r"]),
            partition=sys.intern(f["P"]),
            account=sys.intern(_given(f["a"]).lower()),  # as slurmdbd has it
            qos=_shared(f["q"]),
            cpus=count(f["C"]),
            nodes=count(f["D"]),
            time_limit=time_limit(f["l"]),
            priority=int(f["Q"]),
            tasks=ids if several else (),
            het="+" in f["i"],
            gres=_given(f["b"]),
            licences=_given(f["W"]),
            comment=_given(f["k"]),
            dependency=_given(f["E"]),
            elapsed=time_limit(f["M"]) or timedelta(),
            nodelist=f["N"],
            directory=_given(f["Z"]),
            throttle=throttle(f["K"]) if several else None,
            starts=moment(f["S"]) if waiting and f["S"].isdecimal() else None,
        )
    except (ValueError, KeyError, IndexError) as error:
        raise Unreachable(f"the queue has a line that can't be read: {str(cells)[:200]}") from error


#: sacct(1) ``-o``; the job name comes last, for it may hold anything.
PAST = "End,User,Account,Partition,State,TimelimitRaw,ElapsedRaw,AllocCPUS,JobName"
_CAME_TO_AN_END = frozenset({"COMPLETED", "FAILED", "TIMEOUT", "OUT_OF_MEMORY"})


def past_runs(answer: str, burst_partition: str, field: str = FIELD) -> tuple[PastRun, ...]:
    """sacct's rows of ``PAST``, by their end. A row that can't be read tells nothing. ``field``:
    the separator; a name that can foresee it can tell of other people's runs."""
    found = []
    for line in answer.splitlines():
        cells = line.split(field, 8)
        if len(cells) < 9 or not all(cells[at].isdecimal() for at in (0, 5, 6, 7)):
            continue  # it runs yet, has no limit, or is cut off
        end, user, account, partition, word, limit, ran, cores, name = cells
        if partition == burst_partition or word not in _CAME_TO_AN_END:
            continue
        times = timedelta(minutes=int(limit)), timedelta(seconds=int(ran))
        found.append((int(end), PastRun(user, name, account, *times, int(cores))))
    found.sort(key=lambda row: row[0])
    return tuple(run for _, run in found)


def idle(answer: str) -> dict[str, int]:
    """Idle CPUs by partition, of ``sinfo -o '%R|%C'`` (allocated/idle/other/total). A line that
    can't be read tells nothing."""
    rows = (re.fullmatch(r"(.+)\|\d+/(\d+)/\d+/\d+", row) for row in answer.splitlines())
    return {row[1]: int(row[2]) for row in rows if row}


def size(answer: str, burst_partition: str) -> tuple[int, int]:
    """Nodes that are not down and their CPUs, of ``sinfo -N -o '%N|%R|%C|%t'``; a node has a line
    for each of its partitions. Stand-ins wait on those of ``burst_partition``: they don't count.
    (``%c`` would say 8K of 8192.)"""
    cpus: dict[str, int] = {}
    aside: set[str] = set()
    for node, partition, count, state in (row.split("|") for row in answer.split()):
        cpus[node] = int(count.rpartition("/")[2])
        if partition == burst_partition or state.startswith("down"):
            aside.add(node)
    there = cpus.keys() - aside
    return len(there), sum(cpus[node] for node in there)


def boot_time(config: str) -> str:
    """BOOT_TIME of ``scontrol show config``. Raises ``Unreachable`` where it is missing."""
    found = re.search(r"^BOOT_TIME\s*=\s*(\S+)", config, re.MULTILINE)
    if found is None:
        raise Unreachable("scontrol show config gave no BOOT_TIME")
    return found[1]


def nothing_unsent(diagnostics: str) -> bool:
    """sdiag(1), "DBD Agent queue size": messages that slurmdbd has not taken yet. Raises
    ``Unreachable`` where it is missing."""
    found = re.search(r"^DBD Agent queue size:\s*(\d+)", diagnostics, re.MULTILINE)
    if found is None:
        raise Unreachable("sdiag gave no DBD Agent queue size")
    return found[1] == "0"


def fields(record: str, name: str | None = None) -> dict[str, str]:
    """The ``Key=value`` pairs of one ``scontrol show job -o`` line, up to ``Command=``.

    What a user can write freely (the job's name, its command, comment, paths) is left out:
    a name like ``x Partition=y`` must not be read as a field. With ``name`` given the record
    must be of a job of that name, or ``{}`` comes back. Two that Slurm writes after that are read
    all the same: they do no more than keep a job here.
    """
    head, _, rest = record.partition(" JobName=")
    user = re.search(r" UserId=", rest)
    if name is not None:
        if not rest.startswith(name + " UserId="):
            return {}
        rest = rest[len(name) :]
    elif user is not None:
        rest = rest[user.start() :]
    body = rest.split(" Command=", 1)[0]
    found = dict(pair.split("=", 1) for pair in f"{head} {body}".split() if "=" in pair)
    return {**dict(_LATE.findall(rest)), **found}


def gres(record: str) -> tuple[Gres, ...]:
    """The generic resources that a record asks for: ``gres/gpu:4``, in 22.05 ``gres:gpu:4``. Other
    trackable resources (24.11: CPUs by task) stand beside them. What its user wrote elsewhere
    may look the same, and then counts too: for that job alone."""
    asked = [
        Gres.parse(word, Per(per.lower()))
        for per, words in _GRES.findall(record)
        for word in words.split(",")
        if word.startswith("gres")
    ]
    return (*asked, *(Gres(words, None, Per.JOB) for words in _BY_GRES.findall(record)))


def marks(record: str) -> tuple[str, ...]:
    """The bursts that a record's Extra field names. What its user wrote elsewhere may look the
    same: then there are several, and whoever reads them must be content with all."""
    return tuple(dict.fromkeys(re.findall(r"\bExtra=burst=([0-9a-f]{12})\b", record)))


def own_extra(record: str) -> bool:
    """The job may have an Extra of its user's. What they wrote elsewhere may look the same; then
    the job goes unmarked."""
    return re.search(r"\sExtra=(?!(\(null\)|burst=[0-9a-f]{12}(,\S*)?)?(\s|$))", record) is not None


def key_of(cluster: str, f: Mapping[str, str]) -> JobKey:
    """The job's key as users write it."""
    element = f.get("ArrayTaskId", "")
    if "ArrayJobId" in f and element.isdigit():
        return JobKey(cluster, int(f["ArrayJobId"]), int(element))
    return JobKey(cluster, int(f.get("ArrayJobId", f["JobId"])))


def sight(who: JobIdentity, f: Mapping[str, str]) -> JobSight:
    """One look at a job. An unsplit array shows the element asked for as pending in it."""
    key = key_of(who.key.cluster, f)
    if key.array_task is None and who.key.array_task is not None:
        inside = who.key.array_task in tasks(f.get("ArrayTaskId", ""))
        key = who.key if inside and key.job_id == who.key.job_id else key
    code, _, signal = f.get("ExitCode", "0:0").partition(":")
    user = f.get("UserId", "").split("(")[0]
    return JobSight(
        identity=JobIdentity(key, moment(f["SubmitTime"]), user, who.name),
        state=state(f["JobState"]),
        partition=f.get("Partition", ""),
        reason=f.get("Reason", ""),
        held=f.get("Priority") == "0",
        node=f.get("NodeList", ""),
        exit_code=int(code),
        signal=int(signal or 0),
        restarts=int(f.get("Restarts", "0")),
    )


def before_its_start(f: Mapping[str, str]) -> dict[str, str]:
    """A running job's fields with the CPUs that it asked for, or none where Slurm doesn't show
    them (22.05): a node of several threads a core gives it whole cores."""
    asked = dict(part.split("=", 1) for part in f.get("ReqTRES", "").split(",") if "=" in part)
    rest = {name: text for name, text in f.items() if name != "NumCPUs"}
    return {**rest, "NumCPUs": asked["cpu"]} if "cpu" in asked else rest


def shape(f: Mapping[str, str], resources: tuple[Gres, ...] = ()) -> Shape:
    """What the job asks for."""
    sockets = f.get("Socks/Node", "*")
    per_node = f.get("NtasksPerN:B:S:C", "0").split(":")[0]
    return Shape(
        nodes=count(f.get("NumNodes", "1")),
        tasks=count(f.get("NumTasks", "1")) if f.get("NumTasks", "N/A") != "N/A" else 1,
        cpus=count(f.get("NumCPUs", "1")),
        cpus_per_task=count(f["CPUs/Task"]) if f.get("CPUs/Task", "N/A") != "N/A" else 1,
        tasks_per_node=int(per_node) if per_node not in {"0", "*"} else None,
        memory_per_node=mebibytes(f.get("MinMemoryNode", "")),
        memory_per_cpu=mebibytes(f.get("MinMemoryCPU", "")),
        exclusive=f.get("OverSubscribe") in {"NO", "EXCLUSIVE"},
        gres=resources,
        sockets_per_node=int(sockets) if sockets.isdecimal() else None,
    )
