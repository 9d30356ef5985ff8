"""``python -m bench.queue``: one look at a long queue, by Slurm's commands and by pyslurm.

Fills the lab's queue with pending jobs that differ, then takes turns: what ``observe`` costs until
burstd has its jobs. Ends with the ratio; ``--json`` for programs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from demo import install
from lab import Lab
from lab.host import Host
from lab.pylib import PYTHONPATH

INSIDE = Path(__file__).with_name("queue_inside.py")
#: Submits $1 jobs, four sbatch at a time, as many different names.
FILL = (
    "printf '#!/bin/sh\\nsleep 600\\n' > /tmp/job.sh && seq \"$1\" | "
    "xargs -P4 -I% sbatch -Q -H -J job% -t 60 -n4 --comment=c% -o /dev/null /tmp/job.sh"
)


def main(argv: list[str]) -> int:
    """0 once both have been measured on the same queue."""
    parser = argparse.ArgumentParser(prog="python -m bench.queue", description=__doc__)
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    lab = Lab.here()
    lab.up()
    install.install(lab)
    interpreter = lab.install_pyslurm()
    px, ctl = lab.host("px"), lab.host("ctl")
    ctl.run(["sh", "-c", FILL, "sh", str(options.jobs)], user="alice", timeout=1800)
    try:
        found = measured(px, interpreter, options.turns)
    finally:
        ctl.sh("scancel -u alice")
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return 0
    for name in ("commands", "pyslurm"):
        one = found[name]
        sys.stdout.write(
            f"{name:9} {one['jobs']} jobs: median {statistics.median(one['seconds']):.3f} s, "
            f"best {min(one['seconds']):.3f}, CPU {one['cpu']:.3f} s a look, "
            f"peak {one['peak_mb']:.0f} MB\n"
        )
    ratio = statistics.median(found["commands"]["seconds"])
    ratio /= statistics.median(found["pyslurm"]["seconds"])
    sys.stdout.write(f"commands take {ratio:.2f} times as long as pyslurm\n")
    return 0


def measured(px: Host, interpreter: str, turns: int) -> dict[str, dict[str, Any]]:
    """What the program inside found."""
    env = {"PYTHONPATH": PYTHONPATH}
    argv = ["python3", "-", interpreter, str(turns)]
    done = px.run(argv, user="burstd", env=env, input=INSIDE.read_text(), timeout=600)
    result: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
