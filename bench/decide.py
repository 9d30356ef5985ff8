"""``python -m bench.decide``: a decision on a long queue, against reading that queue.

Builds squeue's answer for a queue of many jobs (arrays included) in a fresh process, reads it as
the adapter does, and decides. Ends with the ratio; ``--json`` for programs.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from burstd.adapters.slurm.records import QUEUE_FIELDS, QueueFormat, queued_job
from burstd.core.decide import decide
from burstd.core.explain import departures
from burstd.domain.classes import DataClass, DataRules, Label
from burstd.domain.jobs import CoreHours, QueueSnapshot
from burstd.domain.plan import ScriptFacts, Snapshot
from burstd.domain.policy import BurstPolicy, Ledger, Mode, Watermarks
from burstd.domain.targets import Capabilities, Money, TargetName, TargetView
from burstd.domain.usage import PastRun, Usage
from burstd.shell.undisturbed import undisturbed

NOW = datetime(2026, 11, 1, tzinfo=UTC)
CLOUD = TargetName("cloud")
POLICY = BurstPolicy(
    mode=Mode.AUTO,
    watermarks=Watermarks(CoreHours(5000), CoreHours(2000)),
    partitions=frozenset({"cae"}),
    burst_partition="burst",
    targets=(CLOUD,),
    budget=Money(Decimal(100_000)),
    data=DataRules(
        (DataClass("internal"), DataClass("secret", frozenset())),
        (
            Label("internal", accounts=frozenset({f"a{n}" for n in range(15)})),
            Label("secret", paths=("/projects/*/prototype*",)),
        ),
    ),
)
VIEW = TargetView(CLOUD, Capabilities(64, 4096, timedelta(days=3)), Money(Decimal("0.05")))
USERS, ACCOUNTS, KINDS, RUNNING = 200, 20, 40, 2000


def main(argv: Sequence[str]) -> int:
    """0 once both have been measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.decide", description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    found = measured(options.jobs, options.turns)
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return 0
    sys.stdout.write(
        f"{found['jobs']} jobs in {found['lines']} lines: reading {found['read_s']:.2f} s of CPU, "
        f"deciding {found['decide_s']:.2f} s, and {found['explain_s']:.2f} s to say why "
        f"{found['placed']} leave; peak {found['peak_mb']:.0f} MB\n"
        f"deciding takes {found['ratio']:.2f} times as long as reading\n"
    )
    return 0


def measured(jobs: int, turns: int) -> dict[str, Any]:
    """Best CPU seconds of each; a turn of one is followed by a turn of the other."""
    form = QueueFormat.fresh()
    text = answer(form, jobs)
    usage = Usage(past(20 * USERS))
    read, decided, explained = [], [], []
    for _ in range(turns):
        began = time.process_time()
        with undisturbed():  # as the daemon does both
            lines = tuple(queued_job("onprem", cells) for cells in form.rows(text))
        read.append(time.process_time() - began)
        facts = {line.identity: ScriptFacts(True, "calculix") for line in lines}
        snapshot = Snapshot(QueueSnapshot("onprem", NOW, lines), (VIEW,), facts, usage)
        began = time.process_time()
        with undisturbed():
            plan = decide(snapshot, POLICY, Ledger())
        decided.append(time.process_time() - began)
        began = time.process_time()
        with undisturbed():
            departures(snapshot, POLICY, Ledger(), plan)
        explained.append(time.process_time() - began)
    return {
        "jobs": sum(len(line.elements) for line in lines),
        "lines": len(lines),
        "read_s": min(read),
        "decide_s": min(decided),
        "explain_s": min(explained),
        "ratio": min(decided) / min(read),
        "placed": len(plan.placements),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def answer(form: QueueFormat, jobs: int) -> str:
    """squeue's text: what runs, single jobs, and one array of 50 in every hundred of them."""
    dice, rows, number, count = Random(1), [], 1, 0  # noqa: S311 - the same queue each time
    for number in range(1, RUNNING + 1):
        rows.append(_row(form, dice, number, 1, state="RUNNING"))
    number += 1
    while count < jobs:
        wide = 50 if dice.random() < 0.01 else 1
        rows.append(_row(form, dice, number, wide))
        number, count = number + 1, count + wide
    return "".join(rows)


def _row(form: QueueFormat, dice: Random, number: int, wide: int, state: str = "PENDING") -> str:
    tasks = f"0-{wide - 1}"
    submitted = int((NOW - timedelta(seconds=dice.randint(0, 90_000))).timestamp())
    account = dice.randrange(ACCOUNTS)
    cells = {
        "i": str(number) if wide == 1 else f"{number}_[{tasks}]",
        "F": str(number),
        "K": "N/A" if wide == 1 else tasks,
        "T": state,
        "r": dice.choice(("Resources", "Priority", "Priority", "Priority", "Dependency")),
        "P": dice.choice(("cae", "cae", "cae", "short")),
        "a": f"a{account}",
        "q": "normal",
        "u": f"u{dice.randrange(USERS)}",
        "C": str(2 ** dice.randrange(10)),
        "D": "1",
        "l": dice.choice(("1:00:00", "8:00:00", "1-00:00:00")),
        "V": str(submitted),
        "S": "N/A",
        "Q": "4294901000",
        "b": "N/A",
        "W": "(null)",
        "E": "(null)",
        "M": "0:00" if state == "PENDING" else f"{dice.randint(1, 59)}:00",
        "N": "",
        "k": "(null)",
        "Z": f"/projects/a{account}/run{number}",
        "j": f"kind{dice.randrange(KINDS)}_{number}",
    }
    return form.field.join(cells[letter] for letter in QUEUE_FIELDS) + form.record + "\n"


def past(runs: int) -> list[PastRun]:
    """What the users ran before."""
    dice = Random(2)  # noqa: S311 - the same past each time
    return [
        PastRun(
            f"u{dice.randrange(USERS)}",
            f"kind{dice.randrange(KINDS)}_{n}",
            "",
            timedelta(hours=8),
            timedelta(seconds=dice.randint(60, 28_800)),
        )
        for n in range(runs)
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
