"""Shapes of jobs as users submit them, and what becomes of each: the data of test_shapes.py.

``python -m tests.lab.shapes`` writes docs/shapes.md anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "shapes.md"
HEAD = """\
# Job shapes

A burst that has not started elsewhere is given back as it was submitted (`burst return JOB`). This
is so for every row below, watched on Slurm 24.11 and 22.05: the pending job is claimed, its
stand-in runs on the proxy node, it is given back, and all that `scontrol show job` prints is what
it was, but for what tells of the moment: state, reason, times, priority, `Restarts`, nodes, and the
`JobId` that Slurm gives to an array's element when it is touched (users go on writing `12_3`).
`Extra` is empty where it was unset.

A shape that would not come back, or whose stand-in would not start, *stays*: burstd declines it
with the reason given here before it touches it. *Goes back* means that only Slurm can tell: the job
is moved, Slurm finds it impossible on the proxy node, and it is given back at once, as it was.

`NumNodes` is Slurm's estimate while a job waits: `-N2-8` shows as `8-8` or `2-8`. burstd takes the
least from `ReqTRES` (`TRES` in 22.05). Of a job that ran before, 22.05 shows the number of nodes it
had then, and no bound; what was asked for is kept all the same.

The proxy node of the lab has the features `skylake`, `avx512` and `icelake`, but not `hbm`.
`tests/lab/test_shapes.py` runs this table, and `make check` compares this page with it.

| shape (`sbatch` options) | 24.11 | 22.05 | remark |
|---|---|---|---|
"""
SBATCH, BURSTD, PROXY = "refused by sbatch", "stays", "goes back"
HOME, UNKNOWN = "comes home", "unknown option"


@dataclass(frozen=True)
class Shape:
    """``options`` of sbatch. ``who`` refuses it, and the words of it; nobody: it comes home.
    ``fresh``: 22.05 does not know it."""

    options: str
    who: str = ""
    words: str = ""
    fresh: bool = False

    def known_to(self, release: str) -> bool:
        return release != "22.05" or not self.fresh

    def row(self) -> str:
        options = self.options.replace("|", "\\|")
        cells = [(self.who or HOME) if self.known_to(r) else UNKNOWN for r in ("24.11", "22.05")]
        return f"| `{options}` | {cells[0]} | {cells[1]} | {self.words} |"


SHARED = "wants nodes that no other"
BOUND = "wants CPUs that are bound to GPUs"
CORES = "leaves cores to the system"
TASKS = "counts its tasks by GPUs"
WAITS = "waits for another job"

SHAPES: tuple[Shape, ...] = (
    Shape("-n1"),
    Shape("-n8 --mem=3000"),
    Shape("-N4 --ntasks-per-node=32"),
    Shape("-N2 --ntasks-per-node=16 --cpus-per-task=2"),
    Shape("-n64 --cpus-per-task=2"),
    Shape("-N2-4 -n8"),
    Shape("-N4 --exclusive"),
    Shape("-n8 --exclusive --mem=0"),
    Shape("-n16 --mem-per-cpu=2000"),
    Shape("-n4 --mem=200G"),
    Shape("-N1 --gres=gpu:2"),
    Shape("--gpus=4 -n4"),
    Shape("--gpus-per-node=2 -N2"),
    Shape("--gpus-per-task=1 -n4"),
    Shape("-C skylake -n4"),
    Shape("-L ansys:5 -n4"),
    Shape("-w r[1-2] -N2"),
    Shape("-x r3 -n4"),
    Shape("--contiguous -N3"),
    Shape("--hint=nomultithread -n16"),
    Shape("--threads-per-core=1 -n16"),
    Shape("--ntasks-per-core=1 -n16"),
    Shape("--ntasks-per-socket=8 -N2"),
    Shape("-n8 --tmp=1000"),
    Shape("--mincpus=16 -N2"),
    Shape("--sockets-per-node=2 -n4"),
    Shape("-N2 --ntasks-per-node=64 --exclusive --mem=0"),
    Shape("--array=1-3 -n4"),
    Shape("--core-spec=2 -N1", BURSTD, CORES),
    Shape("--switches=1 -N2"),
    Shape("--distribution=block:cyclic -n8"),
    Shape("--nice=100 -n4 --comment=hello"),
    Shape("-N1 --exclusive=user -n4", BURSTD, f"{SHARED} user is on"),
    Shape("-N2 -n8 --mem-per-cpu=4G --exclusive", SBATCH, "configuration is not available"),
    Shape("-n4 --reservation=none_such", SBATCH, "reservation is invalid"),
    Shape("-n2 --oversubscribe"),
    Shape("-N3 -n10"),
    Shape("-n7 -N2-2"),
    Shape("--array=1-5%2 -N2 --ntasks-per-node=4"),
    Shape("--mem-per-gpu=10G --gpus=2 -n2"),
    Shape("-n4 --cpus-per-gpu=4 --gpus=1"),
    # --- nodes, tasks and cores
    Shape("-N1 -n4"),
    Shape("-N2-8"),
    Shape("-N2-4 --use-min-nodes"),
    Shape("-n8 --ntasks-per-node=4"),
    Shape("-n8 --ntasks-per-node=4 -N2-4"),
    Shape("-N2-4 --ntasks-per-node=4"),
    Shape("-N8 --ntasks-per-node=128"),
    Shape("-N8 -n1024 --exclusive"),
    Shape("-N1 -n1 --cpus-per-task=128"),
    Shape("-N4 -n4 --mincpus=16"),
    Shape("-n200 -N1 --overcommit"),
    Shape("-n12 --ntasks-per-socket=4"),
    Shape("-n12 --ntasks-per-core=2"),
    Shape("-n16 --threads-per-core=2"),
    Shape("-n16 --hint=memory_bound"),
    Shape("-n4 --cores-per-socket=16"),
    Shape("-n4 -B 2:16:1"),
    Shape("-n8 --distribution=cyclic:block:fcyclic"),
    Shape("-N2 --spread-job"),
    Shape("-N4 --exclusive --mem=0 --switches=1@10:00"),
    Shape("-n4 -w r1 -x r2"),
    Shape("-N2 --exclusive -w r[1-2]"),
    Shape("-n4 --tres-per-task=cpu:2", fresh=True),
    Shape("-n4 --exclusive=mcs", BURSTD, f"{SHARED} label is on"),
    Shape("-N1 --thread-spec=2", BURSTD, CORES),
    # --- memory and disk
    Shape("-N2 --mem=0"),
    Shape("-n8 --mem-per-cpu=2G --mem-bind=local"),
    Shape("-n8 --cpus-per-task=4 --mem-per-cpu=2G -N2"),
    Shape("-N2 -n8 --mem=200G --tmp=500G"),
    # --- GPUs
    Shape("-N2 --gres=gpu:a100:2"),
    Shape("-N2 --gpus-per-socket=1 --sockets-per-node=2"),
    Shape("--gpus-per-task=a100:1 -n4"),
    Shape("--gpus-per-task=1 --cpus-per-gpu=4 -n4 -N2"),
    Shape("-N2 --mem-per-gpu=10G --gpus-per-node=2"),
    Shape("-N2 --gpus-per-node=1 --gpu-bind=closest"),
    Shape("-N2 --gres=gpu:1 --gres-flags=enforce-binding", BURSTD, BOUND),
    Shape("--gpus=4 --ntasks-per-gpu=2", BURSTD, TASKS),
    # --- features and licences
    Shape("-n4 --prefer=skylake"),
    Shape("-N2 -C skylake|icelake"),
    Shape("-N2 -C [skylake|icelake]"),
    Shape("-n4 -C skylake&avx512"),
    Shape("-N2 -C icelake&hbm", PROXY, "BadConstraints"),
    Shape("-N3 -C [skylake*2&icelake*1]", PROXY, "BadConstraints"),
    Shape("-n4 -L ansys:5,abaqus:2"),
    # --- arrays
    Shape("--array=1-9:2%2 -n2"),
    Shape("--array=5,7,11 -N2 --ntasks-per-node=16 --exclusive"),
    Shape("--array=1-3 -N2-4"),
    Shape("--array=1-3 --mem=0 -x r3"),
    Shape("--array=1-4 -w r[1-2] -N2 --gres=gpu:1"),
    # --- time and order
    Shape("-n4 -t 3-04:05"),
    Shape("-n4 --time-min=10"),
    Shape("-n4 --deadline=now+2days"),
    Shape("-n4 --signal=B:USR1@60"),
    Shape("-n4 --delay-boot=5"),
    Shape("-n4 --priority=TOP"),
    Shape("-n4 --no-requeue"),
    Shape("-n4 --requeue"),
    Shape("-n4 --begin=now+1hour", BURSTD, "is to begin later"),
    Shape("-n4 --hold", BURSTD, "is held"),
    Shape("-n4 --reservation=crash", BURSTD, "has nodes reserved for it"),
    Shape("-n4 --dependency=afterok:{running}", BURSTD, WAITS),
    Shape("-n4 --dependency=singleton", BURSTD, WAITS),
    # --- whose, where, and what is told
    Shape("-n4 --qos=normal --account=phys --wckey=crash"),
    Shape("-n4 -p rack,cae"),
    Shape("-N2 -p rack,cae"),
    Shape("-N2 --no-kill --kill-on-invalid-dep=yes"),
    Shape("-n4 --cpu-freq=High"),
    Shape("-n4 -J 'Träger 7: x Partition=y'"),
    Shape("-n4 --comment='burst:ok, Partition=z NumNodes=9'"),
    Shape("-n4 --extra='mine, not a mark'", fresh=True),
    Shape("-n4 --mail-type=END,FAIL --mail-user=alice@example.org"),
    Shape("-n4 --open-mode=append -o %x-%j.log -e %j.err"),
    Shape("-n4 --chdir=/tmp --export=NONE"),
    Shape("-n1 : -p rack -n4", BURSTD, "is part of a heterogeneous job"),
)


def page() -> str:
    """What docs/shapes.md holds."""
    return HEAD + "".join(f"{shape.row()}\n" for shape in SHAPES)


if __name__ == "__main__":
    PAGE.write_text(page())
