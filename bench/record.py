"""``python -m bench.record``: keeping a decision on a long queue, against deciding it.

Three decisions half a minute apart: the first says everything, before the second what runs has run
longer and one line in a hundred has gone, come or changed, before the third nothing has happened.
Ends with the ratios; ``--json`` for programs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from bench.decide import NOW, POLICY, USERS, VIEW, answer, past
from burstd.adapters.decisions import FileDecisions, days, read
from burstd.adapters.slurm.records import QueueFormat, queued_job
from burstd.core.decide import decide
from burstd.domain.decision import Decision
from burstd.domain.jobs import JobIdentity, JobState, QueuedJob, QueueSnapshot
from burstd.domain.plan import ScriptFacts, Snapshot
from burstd.domain.policy import Ledger
from burstd.domain.usage import Usage

TICK = timedelta(seconds=30)
NAMES = ("first", "changed", "same")


def main(argv: Sequence[str]) -> int:
    """0 once all have been measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.record", description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    found = measured(options.jobs, options.turns)
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return 0
    sys.stdout.write(f"{found['lines']} lines: deciding takes {found['decide_s']:.2f} s of CPU\n")
    for name in NAMES:
        one = found[name]
        sys.stdout.write(
            f"{name:8} {one['keep_s']:.2f} s to keep in {one['bytes']:.0f} bytes, "
            f"{one['read_s']:.2f} s to read; keeping takes {one['ratio']:.2f} times as long as "
            "deciding\n"
        )
    return 0


def measured(jobs: int, turns: int) -> dict[str, Any]:
    """Best CPU seconds of each."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in NAMES}
    count = 0
    for _ in range(turns):
        with TemporaryDirectory() as directory:
            for name, figures in zip(NAMES, _turn(Path(directory), jobs), strict=True):
                found[name].append(figures)
                count = int(figures["lines"])
    decide_s = min(one["decide_s"] for each in found.values() for one in each)
    best: dict[str, Any] = {
        name: {key: min(one[key] for one in each) for key in ("keep_s", "bytes", "read_s")}
        for name, each in found.items()
    }
    for one in best.values():
        one["ratio"] = one["keep_s"] / decide_s
    return {"lines": count, "decide_s": decide_s, **best}


def _turn(directory: Path, jobs: int) -> list[dict[str, float]]:
    store = FileDecisions(directory, timedelta(days=30), "bench")
    found, size = [], 0
    for snapshot in snapshots(jobs):
        clock = Stopwatch()
        plan = decide(snapshot, POLICY, Ledger())
        decide_s = clock.lap()
        store.keep(Decision(snapshot, POLICY, Ledger(), plan))
        figures = {"decide_s": decide_s, "keep_s": clock.lap(), "lines": len(snapshot.queue.jobs)}
        now = sum(path.stat().st_size for _, path in days(directory))
        found.append({**figures, "bytes": now - size})
        size = now
    again = read([path for _, path in days(directory)], _lost)
    for one in found:
        clock = Stopwatch()
        next(again).decision()
        one["read_s"] = clock.lap()
    return found


def _lost(what: str) -> None:
    raise AssertionError(what)


class Stopwatch:
    """CPU seconds of this process."""

    def __init__(self) -> None:
        self._began = time.process_time()

    def lap(self) -> float:
        """Since the last one."""
        began, self._began = self._began, time.process_time()
        return self._began - began


def snapshots(jobs: int) -> Iterator[Snapshot]:
    """Each line is a new object in each, as the adapter makes them."""
    form, dice = QueueFormat.fresh(), Random(4)  # noqa: S311 - the same each time
    text, usage = answer(form, jobs), Usage(past(20 * USERS))

    def lines() -> list[QueuedJob]:
        return [queued_job("onprem", cells) for cells in form.rows(text)]

    changed = []
    for line in lines():
        fate = dice.random() * 300
        if line.state is JobState.RUNNING:
            line = replace(line, elapsed=line.elapsed + TICK)
        if fate < 1:
            continue
        if fate < 2:
            name = replace(line.identity, name=f"{line.identity.name}_again")
            key = replace(line.key, job_id=line.key.job_id + 10_000_000)
            changed.append(replace(line, identity=replace(name, key=key)))
        changed.append(replace(line, priority=line.priority + 1) if fate > 299 else line)
    # As a tick has them: other lines, and the facts of the last one by the keys of the last one.
    same = [replace(line, identity=replace(line.identity)) for line in changed]
    facts: dict[JobIdentity, ScriptFacts] = {}
    for at, queue in enumerate((lines(), changed, same)):
        known = {line.identity for line in queue}
        facts = {who: fact for who, fact in facts.items() if who in known}
        facts |= {who: ScriptFacts(True, "calculix") for who in known if who not in facts}
        seen = QueueSnapshot("onprem", NOW + at * TICK, tuple(queue))
        yield Snapshot(seen, (VIEW,), facts, usage)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
