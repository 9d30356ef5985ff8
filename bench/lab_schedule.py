"""``python -m bench.lab_schedule``: does the rehearsed cluster start jobs as a real Slurm does?

    scenario --seed 1 --jobs 50        jobs that only sleep, one a line
    run --site onprem --keep DIR       submit them on the lab, wait, keep what sacct says; compare
    compare DIR                        compare again what was kept

The same jobs, as accounting tells of them, are given to the scheduler of ``burst simulate``: nobody
leaves. Compared are the order of the starts and the waits. ``--json`` for programs.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

from burstd.rehearsal.compare import bounds
from burstd.rehearsal.history import NotLog
from burstd.rehearsal.sacct import FIELDS, OPEN, read
from demo import install
from lab import Host, Lab, LabError

NAME = "schedule"  #: of every job
MINUTES = (1, 1, 2, 3, 5, 10)  #: limits as users ask for them
SHORTEST, LONGEST = 3, 45  #: seconds that a job sleeps
LOAD = 1.4  #: work that comes, against what the cluster does meanwhile: a line must form
PATIENCE = 120.0  #: seconds beyond what the jobs take in a row, for starts, ends and accounting
ROWS, JOBS, CORES = "sacct.txt", "scenario.tsv", "cores"


@dataclass(frozen=True)
class Place:
    """One of the lab's clusters, by what jobs of one partition can use of it."""

    host: str
    user: str
    partition: str
    cores: int


PLACES: Mapping[str, Place] = {
    "onprem": Place("ctl", "alice", "cae", 2),
    "cloud": Place("cctl", "cae01", "hpc", 8),
}


@dataclass(frozen=True)
class Sleeper:
    """A job: submitted so many seconds after the first, and how long it sleeps (seconds)."""

    offset: int
    cores: int
    minutes: int
    seconds: int


@dataclass(frozen=True)
class Agreement:
    """``pairs``: of jobs that did not start in the same second; ``tau``: Kendall's tau-b. Errors
    are rehearsed waits less the real ones, in seconds."""

    jobs: int
    pairs: int
    alike: int
    tau: float
    mean_wait_s: float
    mean_error_s: float
    mean_abs_error_s: float
    max_abs_error_s: float


def main(argv: Sequence[str]) -> int:
    """0 once both have been compared."""
    options = _parser().parse_args(argv)
    try:
        if options.verb == "scenario":
            jobs = scenario(options.seed, options.jobs, PLACES[options.site].cores)
            sys.stdout.write(written(jobs))
            return 0
        if options.verb == "run":
            _run(options.site, scenario_of(options), options.keep)
        _tell(options.keep, options.json)
    except (LabError, NotLog, OSError) as error:
        cure = f" ({error.cure})" if isinstance(error, LabError) and error.cure else ""
        sys.stderr.write(f"bench.lab_schedule: {error}{cure}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.lab_schedule",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    keep = Path("build/schedule")
    for verb in ("scenario", "run"):
        one = verbs.add_parser(verb)
        one.add_argument("--site", choices=sorted(PLACES), default="onprem")
        one.add_argument("--seed", type=int, default=1)
        one.add_argument("--jobs", type=int, default=50)
    run, compare = verbs.choices["run"], verbs.add_parser("compare")
    run.add_argument("--scenario", type=Path, help="run this one, not one of --seed")
    run.add_argument("--keep", type=Path, default=keep, help=f"directory, {keep} by default")
    compare.add_argument("keep", type=Path, nargs="?", default=keep)
    for one in (run, compare):
        one.add_argument("--json", action="store_true")
    return parser


# --- the jobs


def scenario(seed: int, jobs: int, cores: int) -> list[Sleeper]:
    """The same for the same seed, in the order of their submission."""
    dice = Random(seed)  # noqa: S311 - a workload, not a secret
    shapes = []
    for _ in range(jobs):
        wide = min(cores, 2 ** dice.choice((0, 0, 0, 1, 1, 2, 3)))
        seconds = round(math.exp(dice.uniform(math.log(SHORTEST), math.log(LONGEST))))
        shapes.append((wide, dice.choice(MINUTES), seconds))
    span = sum(wide * seconds for wide, _, seconds in shapes) / cores / LOAD
    offsets = sorted(int(dice.uniform(0, span)) for _ in shapes)
    first = offsets[0] if offsets else 0
    return [Sleeper(at - first, *shape) for at, shape in zip(offsets, shapes, strict=True)]


def written(jobs: Sequence[Sleeper]) -> str:
    """One a line, with a heading."""
    lines = ["\t".join(Sleeper.__dataclass_fields__)]
    lines += ["\t".join(str(value) for value in asdict(job).values()) for job in jobs]
    return "\n".join(lines) + "\n"


def scenario_of(options: argparse.Namespace) -> list[Sleeper]:
    """The one in the file that was named, else the seed's."""
    if options.scenario is None:
        return scenario(options.seed, options.jobs, PLACES[options.site].cores)
    lines = options.scenario.read_text().splitlines()[1:]
    return [Sleeper(*map(int, line.split("\t"))) for line in lines]


# --- on the lab


def _run(site: str, jobs: Sequence[Sleeper], keep: Path) -> None:
    """Submit them, wait for all their ends, and keep what accounting says."""
    place = PLACES[site]
    lab = Lab.here()
    lab.up()
    install.stop(lab)  # nothing leaves
    host = lab.host(place.host)
    if waiting := host.sh(f"squeue -h -p {place.partition}").strip():
        raise LabError(f"partition {place.partition} of {site} is not empty", waiting[:300])
    keep.mkdir(parents=True, exist_ok=True)
    (keep / JOBS).write_text(written(jobs))
    (keep / CORES).write_text(f"{place.cores}\n")
    try:
        ids = _submitted(host, place, jobs)
        longest = sum(job.seconds + 5 for job in jobs) + PATIENCE
        _until(lambda: not _queued(host, place), longest, "all jobs have ended")
        rows = _accounted(host, ids)
    finally:
        host.run(["scancel", "-u", place.user, f"--name={NAME}"], check=False)
    (keep / ROWS).write_text(rows)


def _submitted(host: Host, place: Place, jobs: Sequence[Sleeper]) -> list[str]:
    began, ids = time.monotonic(), []
    for number, job in enumerate(jobs, 1):
        time.sleep(max(0.0, began + job.offset - time.monotonic()))
        argv = ["sbatch", "--parsable", "-J", NAME, "-p", place.partition, "-o", "/dev/null"]
        argv += ["-n", str(job.cores), "-t", str(job.minutes), f"--wrap=sleep {job.seconds}"]
        ids.append(host.run(argv, user=place.user).stdout.strip().split(";")[0])
        _progress(f"{number} of {len(jobs)} submitted")
    return ids


def _queued(host: Host, place: Place) -> int:
    left = host.run(["squeue", "-h", "-u", place.user, "-n", NAME, "-o", "%i"]).stdout.split()
    _progress(f"{len(left)} not ended")
    return len(left)


def _accounted(host: Host, ids: Sequence[str]) -> str:
    """sacct's rows of all of them, as soon as it knows all their ends."""
    argv = ["sacct", "-a", "-X", "-P", "-S", "now-1days"]
    argv += ["-j", ",".join(ids), "-o", ",".join(FIELDS)]
    rows = ""

    def all_there() -> bool:
        nonlocal rows
        rows = host.run(argv, env={"SLURM_TIME_FORMAT": "%s"}).stdout
        states = [row["State"].split(" ")[0] for row in told(rows)]
        return len(states) == len(ids) and not {*states} & {*OPEN}

    _until(all_there, PATIENCE, "accounting knows all ends")
    return rows


def _until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise LabError(f"not within {seconds:.0f} s: {what}", "look at squeue and sinfo there")
        time.sleep(1)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text:40}")


# --- compared


def told(rows: str) -> list[dict[str, str]]:
    """sacct's rows by the names of their heading; one that is cut off is none."""
    names, *cells = [line.split("|", len(FIELDS) - 1) for line in rows.splitlines()] or [[]]
    return [dict(zip(names, row, strict=True)) for row in cells if len(row) == len(names)]


def compared(rows: str, cores: int) -> Agreement:
    """What Slurm did, against the rehearsal of the same jobs. Raises ``NotLog``."""
    history = read(rows.splitlines(), ROWS, cores)
    rehearsed = {run.job.number: run for run in next(bounds(history, 0)).runs}
    real = {int(row["JobIDRaw"]): int(row["Start"]) for row in told(rows) if row["Start"].isdigit()}
    numbers = sorted(rehearsed)
    starts = [(real[number], rehearsed[number].started) for number in numbers]
    waits = [real[number] - rehearsed[number].job.submitted for number in numbers]
    errors = [run - truth for truth, run in starts]
    pairs, alike, tau = order(starts)
    size = [abs(error) for error in errors]
    return Agreement(
        len(numbers), pairs, alike, tau, sum(waits) / len(waits), sum(errors) / len(errors),
        sum(size) / len(size), max(size),
    )  # fmt: skip


def order(starts: Sequence[tuple[int, int]]) -> tuple[int, int, float]:
    """Pairs that have an order in both, those with the same one, and Kendall's tau-b."""
    signs = [(_sign(a[0] - b[0]), _sign(a[1] - b[1])) for a, b in combinations(starts, 2)]
    both = [one * other for one, other in signs if one and other]
    alike = sum(sign > 0 for sign in both)
    ranked = math.prod(sum(bool(pair[side]) for pair in signs) for side in (0, 1))
    return len(both), alike, sum(both) / math.sqrt(ranked) if ranked else 1.0


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def _tell(keep: Path, as_json: bool) -> None:
    rows, cores = (keep / ROWS).read_text(), int((keep / CORES).read_text())
    found = compared(rows, cores)
    other = [row["JobIDRaw"] for row in told(rows) if row["State"] != "COMPLETED"]
    if as_json:
        record: dict[str, Any] = {**asdict(found), "cores": cores, "not_completed": other}
        sys.stdout.write(json.dumps(record) + "\n")
        return
    sys.stdout.write(
        f"{found.jobs} jobs on {cores} cores, rows in {keep / ROWS}\n"
        f"order of starts: {found.alike} of {found.pairs} pairs alike, tau {found.tau:.3f}\n"
        f"waits: {found.mean_wait_s:.1f} s on average, rehearsed {found.mean_error_s:+.1f} s; "
        f"off by {found.mean_abs_error_s:.1f} s, {found.max_abs_error_s:.0f} s at most\n"
    )
    if other:
        sys.stdout.write(f"not COMPLETED: {', '.join(other)}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
