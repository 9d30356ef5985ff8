"""``python -m tests.sim.mutants``: put each defect into a copy of burstd and see it found.

Prints the table of defects and writes it into docs/faults-simulated.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tests.sim.campaign import cores
from tests.sim.defects import DEFECTS
from tests.sim.defects.defect import Defect

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "faults-simulated.md"
BEGIN, END = "<!-- defects: begin -->", "<!-- defects: end -->"
LONGEST = 900.0  #: seconds for one defect


@dataclass(frozen=True)
class Find:
    """What became of one defect. ``by``: empty where it was not found."""

    defect: Defect
    by: str
    wrong: str
    runs: int
    seconds: float

    @property
    def row(self) -> str:
        """Of the table."""
        by = f"{self.by.split()[0]}: {self.wrong}" if self.by else "**not found**"
        by = by.replace("|", "/")[:110]
        return f"| {self.defect.name} | {self.defect.what} | {by} | {self.runs} |"


def hunt(defect: Defect, seeds: int) -> Find:
    """Look for one defect in a process of its own, on a copy of its own."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="burstd-defect-") as folder:
        tree = Path(folder)
        copy_with(defect, tree)
        paths = os.pathsep.join(map(str, (tree, ROOT, ROOT / "plugins")))
        done = subprocess.run(
            [sys.executable, "-m", "tests.sim.hunt", "--by", defect.by, "--seeds", str(seeds)],
            cwd=tree, capture_output=True, text=True, check=False, timeout=LONGEST,
            env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        if not done.stdout:
            raise RuntimeError(f"{defect.name}: {done.stderr[-2000:]}")
        told = json.loads(done.stdout.splitlines()[-1])
        if not told["burstd"].startswith(str(tree)):
            raise RuntimeError(f"the hunt was on {told['burstd']}, not on the copy")
    seconds = time.monotonic() - began
    return Find(defect, told["by"], told["wrong"], told["runs"], seconds)


def copy_with(defect: Defect, tree: Path) -> None:
    """burstd with this defect, below ``tree``."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "burstd", tree / "burstd", ignore=ignored)
    for edit in defect.edits:
        path = tree / "burstd" / edit.file
        text = path.read_text()
        if text.count(edit.old) != 1:
            raise ValueError(f"{defect.name}: {edit.old!r} is not once in {edit.file}")
        path.write_text(text.replace(edit.old, edit.new))


def hunt_all(defects: Iterable[Defect], seeds: int, jobs: int) -> Iterator[Find]:
    """All of them, some at once, in order."""
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda defect: hunt(defect, seeds), defects)


def main(argv: list[str]) -> int:
    """0 if every defect was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.mutants", description=__doc__)
    parser.add_argument("--only", metavar="NAME", help="one defect; the page stays as it is")
    parser.add_argument("--seeds", type=int, default=1000, help="at most so many (1000)")
    parser.add_argument("--jobs", type=int, default=cores())
    options = parser.parse_args(argv)
    chosen = [d for d in DEFECTS if options.only in (None, d.name)]
    if not chosen:
        sys.stderr.write(f"there is no defect {options.only!r}: {[d.name for d in DEFECTS]}\n")
        return 2
    console = Console(highlight=False, soft_wrap=True)
    finds = []
    for find in hunt_all(chosen, options.seeds, options.jobs):
        console.print(f"{find.row} {find.seconds:.0f} s", markup=False)
        finds.append(find)
    if options.only is None:
        write(finds)
    missed = [find.defect.name for find in finds if not find.by]
    console.print(f"{len(finds) - len(missed)} of {len(finds)} found; missed: {missed}")
    return 1 if missed else 0


def write(finds: Iterable[Find]) -> None:
    """The table into the page."""
    head, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, tail = rest.partition(END)
    lines = ["| defect | what it is | found by | runs |", "|---|---|---|---|"]
    table = "\n".join([*lines, *(find.row for find in finds)])
    PAGE.write_text(f"{head}{BEGIN}\n{table}\n{END}{tail}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
