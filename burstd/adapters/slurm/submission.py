"""A job before it is submitted: what sbatch(1) would be told, and what Slurm says of it."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from ClusterShell.NodeSet import NodeSet, NodeSetException

from burstd.adapters.programs import found
from burstd.adapters.slurm.commands import Slurm, answer
from burstd.adapters.slurm.records import mebibytes, moment, tasks, throttle
from burstd.domain.gres import GPU_OPTIONS, Gres, Per
from burstd.domain.jobs import Shape
from burstd.domain.slurm import record
from burstd.ports.errors import Unreachable

DEADLINE = 60.0  #: seconds that Slurm may take to look for a place

#: slurm/src/api/allocate.c, slurm_job_will_run; 22.05 and 24.11 print it alike.
_WILL_RUN = re.compile(
    r"Job \d+ to start at (\d+) using (\d+) processors on nodes (\S*) in partition (\S+)"
)


@dataclass(frozen=True)
class Submission:
    """``said``: Slurm's own texts by the names of sbatch's long options; what was not said is
    missing. ``options``: the words before the script as they were given, for sbatch itself."""

    options: tuple[str, ...]
    script: str
    arguments: tuple[str, ...]
    said: Mapping[str, str]
    het: bool = False  #: it is one of several components

    @property
    def tasks(self) -> tuple[int, ...]:
        """Of an array. Raises ``ValueError``."""
        array = self.said.get("array", "")
        return tasks(array) if array else ()

    @property
    def throttle(self) -> int | None:
        """How many of them may run at once; ``None``: all."""
        return throttle(self.said.get("array", ""))

    @property
    def gres(self) -> tuple[Gres, ...]:
        """The generic resources that it asks for."""
        words = {Per.NODE: self.said.get("gres", "").split(",")}
        for per, option in GPU_OPTIONS.items():
            words[per] = [*words.get(per, ()), *_of_gpus(self.said.get(option, ""))]
        return tuple(
            Gres.parse(word, per)
            for per, said in words.items()
            for word in said
            if word not in {"", "none", "gpu:0"}
        )

    def shape(self, nodes: int, cpus: int) -> Shape:
        """What it asks for, as far as these options say it. Raises ``ValueError``."""
        return Shape(
            nodes, self._count("ntasks") or 1, cpus, self._count("cpus-per-task") or 1,
            self._count("ntasks-per-node"), self._memory("mem"), self._memory("mem-per-cpu"),
            self.said.get("exclusive") == "", self.gres, self._count("sockets-per-node"),
        )  # fmt: skip

    def _count(self, option: str) -> int | None:
        said = self.said.get(option)
        return None if said is None else int(said)

    def _memory(self, option: str) -> int | None:
        """MiB; sbatch takes ``4GB`` for ``4G``."""
        return mebibytes(self.said.get(option, "").upper().removesuffix("B"))


@dataclass(frozen=True)
class WillRun:
    """When and where the job would start if it were submitted now."""

    starts: datetime
    cpus: int
    nodes: int
    partition: str


class _Words(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


#: sbatch(1): the options that say how large a job is, and whose.
_OPTIONS = (
    ("-A", "--account"), ("-p", "--partition"), ("-q", "--qos"), ("-t", "--time"),
    ("-J", "--job-name"), ("-a", "--array"), ("-L", "--licenses"), ("-D", "--chdir"),
    ("--comment",), ("-n", "--ntasks"), ("--sockets-per-node",), ("--gres",), ("-G", "--gpus"),
    ("--gpus-per-node",), ("--gpus-per-task",), ("--gpus-per-socket",), ("-c", "--cpus-per-task"),
    ("--ntasks-per-node",), ("--mem",), ("--mem-per-cpu",),
)  # fmt: skip
#: What parts two components in a script (sbatch(1), HETEROGENEOUS JOBS; packjob: before 20.02).
_HET = frozenset({"hetjob", "packjob"})
#: sbatch(1), INPUT ENVIRONMENT VARIABLES.
_VARIABLES = {
    "SBATCH_ACCOUNT": "account", "SBATCH_PARTITION": "partition", "SBATCH_QOS": "qos",
    "SBATCH_TIMELIMIT": "time", "SBATCH_JOB_NAME": "job-name", "SBATCH_ARRAY_INX": "array",
    "SBATCH_COMMENT": "comment", "SBATCH_GRES": "gres", "SBATCH_GPUS": "gpus",
    "SBATCH_GPUS_PER_NODE": "gpus-per-node", "SBATCH_GPUS_PER_TASK": "gpus-per-task",
    "SBATCH_MEM_PER_NODE": "mem", "SBATCH_MEM_PER_CPU": "mem-per-cpu",
    "SBATCH_CPUS_PER_TASK": "cpus-per-task", "SBATCH_EXCLUSIVE": "exclusive",
}  # fmt: skip


#: sbatch(1): the options that take no value, or theirs only where it is attached (``-suser``,
#: ``--nice=7``). Every other takes the next word where it stands alone.
_LETTERS = frozenset("hHIkOQsvVW")
_WORDS = frozenset({
    "contiguous", "disable-stdout-job-summary", "exclusive", "get-user-env", "help", "hold",
    "ignore-pbs", "nice", "no-bell", "no-kill", "no-requeue", "overcommit", "oversubscribe",
    "parsable", "propagate", "quiet", "reboot", "requeue", "spread-job", "stepmgr", "test-only",
    "usage", "use-min-nodes", "verbose", "version", "wait",
})  # fmt: skip


def script_at(words: Sequence[str]) -> int | None:
    """Where the script stands: the first word that is neither an option of sbatch nor the value of
    one, or the word after ``--`` (getopt(3)). ``None``: there is none."""
    at = 0
    while at < len(words):
        word = words[at]
        if not word.startswith("-") or word == "-":
            return at
        if word == "--":
            return at + 1 if at + 1 < len(words) else None
        at += 2 if _takes_the_next(word) else 1
    return None


def _of_gpus(said: str) -> list[str]:
    """``a100:2,h100:1`` or ``2``: words of ``--gpus``."""
    return [f"gpu:{part}" for part in said.split(",") if part]


def _takes_the_next(word: str) -> bool:
    if word.startswith("--"):
        return "=" not in word and not any(name.startswith(word[2:]) for name in _WORDS)
    letters = word[1:]  # -HQp batch, -pbatch
    first = next((at for at, letter in enumerate(letters) if letter not in _LETTERS), None)
    return first is not None and first == len(letters) - 1


def submission(
    words: Sequence[str], at: int, text: str, environment: Mapping[str, str]
) -> Submission:
    """``words``: all that sbatch is given, the script ``at`` this place among them. Options win
    over SBATCH_ variables, and these over the script's ``#SBATCH`` lines, which end at the first
    line that is none (sbatch(1)). A name may be cut short, as getopt_long(3) has it: one that
    sbatch takes is the beginning of no second. Raises ``ValueError`` where an option lacks its
    value."""
    parser = _Words(add_help=False)
    for names in _OPTIONS:
        parser.add_argument(*names)
    parser.add_argument("--exclusive", nargs="?", const="")  # =user, =mcs: not of other users' jobs
    said: dict[str, str] = {}
    variables = [f"--{_VARIABLES[n]}={v}" for n, v in environment.items() if n in _VARIABLES]
    for source in (_lines(text), variables, list(words[:at])):
        known, _ = parser.parse_known_args(source)
        said |= {n.replace("_", "-"): v for n, v in vars(known).items() if v is not None}
    options, arguments = tuple(words[:at]), tuple(words[at + 1 :])
    return Submission(options, words[at], arguments, said, not _HET.isdisjoint(_lines(text)))


def _lines(text: str) -> list[str]:
    words: list[str] = []
    for line in text.splitlines():
        if line.startswith("#SBATCH"):
            words += shlex.split(line[7:], comments=True)
        elif line.strip() and not line.startswith("#"):
            break
    return words


def ask_sbatch(asked: Submission, environment: Mapping[str, str]) -> WillRun:
    """Ask Slurm, which submits nothing. Raises ``Rejected`` with its words where it would refuse
    the job, and ``Unreachable``."""
    argv = ["sbatch", "--test-only", *asked.options, asked.script, *asked.arguments]
    variables = {**environment, "SLURM_TIME_FORMAT": "%s", "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            found(argv, variables.get("PATH", os.defpath)),
            capture_output=True, text=True, errors="replace", timeout=DEADLINE, env=variables,
            stdin=subprocess.DEVNULL, check=False, close_fds=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"sbatch gave no answer in {DEADLINE:g} s") from error
    except OSError as error:
        raise Unreachable(f"sbatch could not be started: {error}") from error
    return will_run(answer("sbatch", done.returncode, done.stdout + done.stderr, done.stderr))


def will_run(text: str) -> WillRun:
    """sbatch's answer. Raises ``Unreachable`` where it tells no start."""
    seen = _WILL_RUN.search(text)
    if seen is None:
        raise Unreachable(f"sbatch --test-only told no start: {text.strip()[:200]!r}")
    try:
        nodes = len(NodeSet(seen[3])) or 1
    except NodeSetException:
        nodes = 1
    return WillRun(moment(seen[1]), int(seen[2]), nodes, seen[4])


def partitions_time(slurm: Slurm, partition: str) -> str:
    """The limit of a job that asks for none: DefaultTime, or MaxTime (slurm.conf(5)); in Slurm's
    words. Raises ``PortError``."""
    shown = record(slurm.run(["scontrol", "show", "partition", partition, "-o"]))
    default = shown.get("DefaultTime", "NONE")
    return shown.get("MaxTime", "UNLIMITED") if default == "NONE" else default


def own_account(slurm: Slurm, user: str) -> str:
    """What a job's account is that names none; empty: nobody knows. Raises ``PortError``."""
    argv = ["sacctmgr", "-n", "-P", "show", "user", user, "format=DefaultAccount"]
    return slurm.run(argv).strip()
