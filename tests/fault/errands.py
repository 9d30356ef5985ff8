"""The jobs of the campaign: small scripts whose every byte is known beforehand.

Each appends to its own witness file (see `lab.oracle.notary`), writes its results under temporary
names and renames them, with a mode and a time of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lab.oracle import Errand, FileSeen

HOME = "/home/alice/campaign"
STAMP = 1_700_000_000  #: seconds since 1970, of every result
GOOD = frozenset({("COMPLETED", "0:0")})
CANCELLED = frozenset({("CANCELLED", "*")})

_HEAD = """#!/bin/bash
{burst}NAME={name}${{SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}}
DRAWN=$(cat /proc/sys/kernel/random/uuid)
witness() {{
  echo "$1 $NAME $DRAWN $(cat /proc/sys/kernel/hostname) $(date +%s.%N)" >> "witness.$NAME"
}}
# Whole or not at all, with a known mode and time.
result() {{ mkdir -p "$(dirname "$1")"; cat > "$1.tmp"; chmod 640 "$1.tmp"
  touch -d @{stamp} "$1.tmp"; mv "$1.tmp" "$1"; }}
witness start
echo "$NAME begins"
"""
_TAIL = """echo "$NAME ends"
witness end
"""


@dataclass(frozen=True)
class Job:
    """One `sbatch`. `results` and `inputs`: path below the job's directory -> text."""

    name: str
    body: str
    results: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    tasks: tuple[int, ...] = ()
    after: str = ""  #: starts when the job of that name has ended well
    ends: frozenset[tuple[str, str]] = GOOD
    code: int = 0
    where: frozenset[str] = frozenset({"cloud"})
    starts: int = 1
    completes: bool = True
    lands: bool = False  #: its results come home though it never comes to its end
    application: str = "calculix"
    minutes: int = 60
    litter: tuple[str, ...] = ()  #: files that it may leave beside its results

    @property
    def directory(self) -> str:
        return f"{HOME}/{self.name}"

    @property
    def script(self) -> str:
        burst = f"#BURST app={self.application}\n" if self.application else ""
        head = _HEAD.format(burst=burst, name=self.name, stamp=STAMP)
        return f"{head}{self.body}\n{_TAIL}exit {self.code}\n"

    @property
    def names(self) -> tuple[str, ...]:
        """As the payloads call themselves, one per task."""
        return tuple(f"{self.name}_{task}" for task in self.tasks) or (self.name,)

    def errands(self, id: str) -> tuple[Errand, ...]:
        """What must come of it once Slurm has given it this id."""
        keys = tuple(f"{id}_{task}" for task in self.tasks) or (id,)
        return tuple(map(self._errand, keys, self.names))

    def _errand(self, key: str, name: str) -> Errand:
        mine = {
            path: text
            for path, text in self.results.items()
            if not self.tasks or name in path
        }  # fmt: skip
        files = {f"{self.directory}/{path}": seen(text) for path, text in mine.items()}
        lines: tuple[str, ...] = (f"{name} begins",) if self.completes or self.lands else ()
        lines += (f"{name} ends",) if self.completes else ()
        return Errand(
            key,
            name,
            self.ends,
            files if self.completes or self.lands else {},
            lines,
            f"{self.directory}/{name}.out",
            self.starts,
            self.completes,
            self.where,
        )


def seen(text: str) -> FileSeen:
    """A result of this text, as it must be at home."""
    return FileSeen(hashlib.sha256(text.encode()).hexdigest(), 0o640, STAMP)


def write(path: str, text: str) -> str:
    """The shell line that makes a result."""
    return f"result {path} <<'EOF'\n{text}EOF"


def serial(name: str, seconds: float = 2, **more: object) -> Job:
    """One core, two results, one of them in a new directory."""
    results = {"top.txt": f"{name}: on top\n", "deep/er/down.txt": f"{name}: below\n" * 500}
    body = [f"cat load.txt > /dev/null; sleep {seconds:g}"]
    body += [write(path, text) for path, text in results.items()]
    return replace(
        Job(name, "\n".join(body), results, {"load.txt": f"load of {name}\n" * 50}),
        **more,  # type: ignore[arg-type]
    )


def array(name: str = "sweep", tasks: tuple[int, ...] = (1, 2)) -> Job:
    """One result per task."""
    results = {f"{name}_{task}.txt": f"{name} {task}\n" * 100 for task in tasks}
    body = f'sleep 1\nyes "{name} $SLURM_ARRAY_TASK_ID" | head -100 | result $NAME.txt'
    options = (f"--array={','.join(map(str, tasks))}",)
    return Job(name, body, results, {"load.txt": "x\n"}, options, tasks)


def wide(name: str = "pair") -> Job:
    """Two nodes, a step of one task on each."""
    results = {f"rank_{rank}.txt": f"rank {rank} of 2\n" for rank in (0, 1)}
    part = (
        f'#!/bin/sh\numask 027\necho "rank $SLURM_PROCID of $SLURM_NTASKS" > r.$SLURM_PROCID.tmp\n'
        f"chmod 640 r.$SLURM_PROCID.tmp\ntouch -d @{STAMP} r.$SLURM_PROCID.tmp\n"
        "mv r.$SLURM_PROCID.tmp rank_$SLURM_PROCID.txt\n"
    )
    body = "srun -N2 -n2 sh ./part.sh || exit 9"
    options = ("-N2", "-n2", "--ntasks-per-node=1")
    return Job(name, body, results, {"part.sh": part}, options)


def many(name: str = "many", count: int = 200) -> Job:
    """Many small results."""
    results = {f"parts/{n // 50}/part_{n}.txt": f"part {n}\n" for n in range(count)}
    body = (
        f'for n in $(seq 0 {count - 1}); do echo "part $n" | '
        "result parts/$((n / 50))/part_$n.txt; done"
    )
    return Job(name, body, results, {"load.txt": "x\n"})


def failing(name: str = "broken") -> Job:
    """Ends with code 3, and has results all the same."""
    results = {"log.txt": "what went wrong\n"}
    return Job(
        name, write("log.txt", results["log.txt"]), results, {"load.txt": "x\n"}, code=3,
        ends=frozenset({("FAILED", "3:0")}),
    )  # fmt: skip


def endless(name: str = "stopped") -> Job:
    """Runs until its user ends it."""
    return Job(
        name, "sleep 600", {}, {"load.txt": "x\n"}, ends=CANCELLED, completes=False, starts=1,
        where=frozenset({"cloud", "onprem"}),
    )  # fmt: skip


def declined(name: str = "wish") -> Job:
    """A wish to leave that the policy declines: it comes home, and runs there."""
    return replace(
        serial(name, 1),
        options=("-p", "burst"),
        application="",
        minutes=2,
        where=frozenset({"onprem"}),
    )


def holed(name: str = "hole") -> Job:
    """Its deck includes a file that is not there: the agent refuses, the job comes home."""
    job = serial(name, 1)
    deck = "*HEADING\nhole\n*INCLUDE, INPUT=../none.inp\n"
    return replace(
        job,
        body=f"ccx -i hole > ccx.log 2>&1\n{job.body}",
        inputs={**job.inputs, "hole.inp": deck},
        where=frozenset({"onprem"}),
        litter=("ccx.log", *(f"hole.{suffix}" for suffix in ("cvg", "dat", "frd", "sta", "12d"))),
    )


def chained(name: str = "after", first: str = "one") -> Job:
    """Starts when `first` has ended well; too short to be worth a trip."""
    return replace(serial(name, 0), after=first, minutes=1, where=frozenset({"onprem"}))


#: One run: everything at once.
ALL = (
    serial("one"), array(), wide(), failing(), endless(), many(), chained(), holed(), declined(),
)  # fmt: skip
