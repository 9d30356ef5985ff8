"""The far end's command line."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Optional

from burstd.far import depot, rundir
from burstd.far.attic import clean, list_runs, state
from burstd.far.errors import FarError
from burstd.far.keeper import keep
from burstd.far.order import Order, OrderError
from burstd.far.payload import say
from burstd.far.program import program_digest
from burstd.far.runner import Assignment, Runner
from burstd.far.stepexec import step_exec
from burstd.far.wire import PROTOCOL
from burstd.far.workplace import make_work, remove_work

EX_STARTED = 75  # this attempt, or a later one, was started before
EX_ORDER = 78  # there is no order that could be carried out


def serve(options: argparse.Namespace) -> int:
    """The verb `serve`."""
    line = (sys.stdin.buffer, sys.stdout.buffer)
    limits = depot.Limits(options.silence, options.store_bytes, options.store_days)
    return depot.serve(options.root, options.key, *line, limits)


def run(options: argparse.Namespace) -> int:
    """The verb `run`: see the runner. Refuses before it touches anything."""
    here = rundir.RunDir.open(options.root, options.key)
    document = here.read(rundir.ORDER)
    if document is None:
        say("there is no order")
        return EX_ORDER
    try:
        order = Order.parse(document)
    except OrderError as error:
        say(f"bad order: {error}")
        return EX_ORDER
    if (order.key, order.attempt) != (options.key, options.attempt):
        say(f"the order is for attempt {order.attempt} of {order.key}")
        return EX_STARTED if options.attempt <= here.last_start() else EX_ORDER
    moment = _begin(here, options.attempt)
    if moment is None:
        say(f"attempt {options.attempt} of {options.key} has been started before")
        return EX_STARTED
    return _carry_out(options, here, order, moment)


def _begin(here: rundir.RunDir, attempt: int) -> Optional[int]:
    """The start marker's time, or None. The lock is held from here until all our processes end."""
    if here.last_start() >= attempt or here.lock() is None:
        return None
    try:
        moment = here.mark_start(attempt)
    except FileExistsError:
        return None
    if rundir.present(here.fd, rundir.END):  # of an earlier attempt
        os.rename(
            rundir.END, b"end.before.%d.json" % attempt, src_dir_fd=here.fd, dst_dir_fd=here.fd
        )
    return moment


def _carry_out(options: argparse.Namespace, here: rundir.RunDir, order: Order, moment: int) -> int:
    work = make_work(os.environ.get("TMPDIR") or here.path)
    task = Assignment(
        root=options.root,
        run=here,
        order=order,
        image=options.image,
        runtimes=options.runtimes.split(","),
        work=work,
        moment_ns=moment,
    )
    return keep(lambda control: Runner(task, control).carry_out(), lambda: remove_work(work))


def show_runs(options: argparse.Namespace) -> int:
    """The verb `list`."""
    found = list_runs(options.root)
    if options.json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
        return 0
    for entry in found:
        words = (entry["key"], entry["owner"], f"{entry['age_s']}s", entry["state"])
        sys.stdout.write("\t".join(str(word) for word in words) + "\n")
    return 0


def show_state(options: argparse.Namespace) -> int:
    """The verb `state`."""
    sys.stdout.write(f"{state(options.root, options.key)}\n")
    return 0


def _version(_: argparse.Namespace) -> int:
    sys.stdout.write(f"burst-far protocol {PROTOCOL} {program_digest() or 'source'}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="burst-far", description="The far end of a burst.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, words: str, *, keyed: bool = True) -> argparse.ArgumentParser:
        one = verbs.add_parser(name, help=words, description=words)
        one.add_argument("--root", required=name != "version")
        if keyed:
            one.add_argument("--key", required=True)
        return one

    one = verb("serve", "talk to the on-prem agent over stdin and stdout")
    usual = depot.Limits()
    one.add_argument("--silence", type=int, default=usual.silence, help="seconds until it ends")
    one.add_argument("--store-bytes", type=int, default=usual.store_bytes, help="of a user's store")
    one.add_argument("--store-days", type=int, default=usual.store_days, help="since a last use")
    one.set_defaults(act=serve)
    one = verb("run", "start the payload once and own its end")
    one.add_argument("--attempt", type=int, required=True)
    one.add_argument("--image", required=True)
    one.add_argument("--runtimes", default="apptainer,bwrap")
    one.set_defaults(act=run)
    one = verb("step-exec", "one task of a step (for the runner's own use)")
    one.add_argument("--step", type=int, required=True)
    one.set_defaults(act=lambda o: step_exec(o.root, o.key, o.step))
    one = verb("clean", "remove a run directory")
    one.set_defaults(act=lambda o: clean(o.root, o.key))
    one = verb("state", "say in one word what a run directory shows")
    one.set_defaults(act=show_state)
    one = verb("list", "show the run directories", keyed=False)
    one.add_argument("--json", action="store_true")
    one.set_defaults(act=show_runs)
    one = verb("version", "show what this program is", keyed=False)
    one.set_defaults(act=_version)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs one verb; returns the exit code (64: usage)."""
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as stop:
        return 64 if stop.code else 0
    try:
        return int(options.act(options))
    except (FarError, OSError) as error:
        say(str(error))
        return 1
