"""Alice's study: the files she has, and the jobs she submits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from demo.decks import Mesh, deck

STUDY = "/home/alice/study"
CANARY = "CANARY-7d1f63c2-never-on-the-wire"

#: What every payload writes at its start and end: who saw it, from inside.
_WITNESS = 'echo "$1 $(cat /proc/sys/kernel/hostname) $(date +%s.%N)" >> "witness.$NAME"'

_HEAD = """#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --output={output}
#SBATCH --time={minutes}
{more}NAME={witness}
witness() {{ {body}; }}
witness start
"""


@dataclass(frozen=True)
class Job:
    """One ``sbatch`` of Alice's. ``after``: (afterok or afternotok, name of another job)."""

    name: str
    script: str
    directory: str
    options: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    tasks: tuple[int, ...] = ()
    after: tuple[str, str] | None = None
    state: str = "COMPLETED"  #: what sacct must say in the end
    exit_code: str = "0:0"
    early: bool = False  #: submitted before burstd starts
    where: str = "cloud"  #: where it must run; "" where either is right
    cancelled: bool = False

    @property
    def witnesses(self) -> tuple[str, ...]:
        """Names of the witness files, one per payload."""
        return tuple(f"{self.name}_{task}" for task in self.tasks) or (self.name,)


def bash(name: str, body: str, *, minutes: int = 60, more: str = "", array: bool = False) -> str:
    """A batch script that bears witness."""
    head = _HEAD.format(
        name=name,
        output=f"{name}-%a.out" if array else f"{name}.out",
        minutes=minutes,
        more=more,
        witness=f"{name}_$SLURM_ARRAY_TASK_ID" if array else name,
        body=_WITNESS,
    )
    return f"{head}{body}witness end\n"


PYTHON = '''#!/usr/bin/python3
#SBATCH --job-name=bracket
#SBATCH --output=bracket.out
#SBATCH --time=60
"""Run one load case in a directory of its own; its name is the first argument."""
import json, os, pathlib, subprocess, sys, time

def witness(word):
    host = pathlib.Path("/proc/sys/kernel/hostname").read_text().strip()
    with open("witness.bracket", "a") as file:
        file.write(f"{word} {host} {time.time():.9f}\\n")

witness("start")
case = pathlib.Path(sys.argv[1])
case.mkdir()
(case / "arguments.json").write_text(json.dumps(sys.argv[1:]))
code = subprocess.run(["ccx", "-i", "bracket"]).returncode
for suffix in (".frd", ".dat", ".sta"):
    os.rename("bracket" + suffix, case / ("bracket" + suffix))
witness("end")
sys.exit(code)
'''

_PARTS = "srun -N2 -n2 ./part.sh\nrc=$?\n[ $rc = 0 ] || exit $rc\n"
_PART = """#!/bin/bash
# one part of the assembly on each node
ccx -i part_$SLURM_PROCID > part_$SLURM_PROCID.log || exit $?
echo "part $SLURM_PROCID of $SLURM_NTASKS" > part_$SLURM_PROCID.done
"""


def files() -> Mapping[str, tuple[str, int]]:
    """Path below STUDY -> (text, mode)."""
    mesh, fine = "../include/mesh.inp", "../include/fine.inp"
    found: dict[str, tuple[str, int]] = {
        "include/mesh.inp": (f"** {CANARY}\n{Mesh(3).text()}", 0o644),
        "include/fine.inp": (Mesh(4).text(), 0o644),
        "bumper/bumper.inp": (deck(fine, 25, 0.4), 0o640),
        "long/long.inp": (deck(fine, 900, 0.4), 0o644),
        "bracket/bracket.inp": (deck(mesh, 4, 0.4), 0o644),
        "assembly/part.sh": (_PART, 0o755),
        "broken/broken.inp": (deck(mesh, 4, 0.4), 0o644),
    }
    for number in range(1, 7):
        found[f"sweep/case_{number}.inp"] = (deck(mesh, 6, 0.1 * number), 0o644)
    for number in (0, 1):
        found[f"assembly/part_{number}.inp"] = (deck(mesh, 6, 0.3 + 0.1 * number), 0o644)
    for name in ("first", "second"):
        found[f"{name}/{name}.inp"] = (deck(fine, 60, 0.4), 0o644)
    found["spare/spare.inp"] = (deck(mesh, 6, 0.35), 0o644)
    return found


def _ccx(name: str) -> str:
    return f"ccx -i {name}\nrc=$?\n[ $rc = 0 ] || exit $rc\n"


@dataclass(frozen=True)
class Study:
    """The jobs in the order of their submission."""

    jobs: tuple[Job, ...] = field(
        default_factory=lambda: (
            Job(
                "first",
                bash("first", _ccx("first"), minutes=10),
                "first",
                early=True,
                where="onprem",
            ),
            Job(
                "second",
                bash("second", _ccx("second"), minutes=10),
                "second",
                early=True,
                where="onprem",
            ),
            Job("bumper", bash("bumper", _ccx("bumper")), "bumper", early=True),
            Job(
                "sweep",
                bash("sweep", _ccx("case_${SLURM_ARRAY_TASK_ID}"), array=True),
                "sweep",
                options=("--array=1-6",),
                tasks=(1, 2, 3, 4, 5, 6),
                early=True,
            ),
            Job(
                "long",
                bash("long", _ccx("long")),
                "long",
                state="CANCELLED",
                exit_code="0:15",
                cancelled=True,
            ),
            Job(
                "bracket",
                PYTHON,
                "bracket",
                arguments=("load case 1", "push = 0.4", "it's"),
            ),
            Job(
                "assembly",
                bash("assembly", _PARTS, more="#SBATCH -N2 -n2\n#BURST app=calculix\n"),
                "assembly",
            ),
            Job(
                "broken",
                bash("broken", "ccx -i broken > broken.log\nwitness end\nexit 3\n"),
                "broken",
                state="FAILED",
                exit_code="3:0",
            ),
            Job(
                "report",
                bash("report", "grep -c . bumper.frd > report.txt\n", minutes=5),
                "bumper",
                after=("afterok", "bumper"),
                where="onprem",
            ),
            Job(
                "rescue",
                bash("rescue", "echo the broken job is noticed > rescue.txt\n", minutes=5),
                "broken",
                after=("afternotok", "broken"),
                where="onprem",
            ),
            Job("spare", bash("spare", _ccx("spare"), minutes=10), "spare", where="onprem"),
        )
    )

    def named(self, name: str) -> Job:
        """A job by name."""
        return next(job for job in self.jobs if job.name == name)
