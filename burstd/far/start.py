"""The verb `run`: whether an attempt may begin, and its whole life."""

from __future__ import annotations

import argparse
import os
import time
from typing import Optional

from burstd.far import rundir
from burstd.far.keeper import keep
from burstd.far.order import Order, OrderError
from burstd.far.payload import say
from burstd.far.runner import Assignment, Runner
from burstd.far.workplace import make_work, remove_work

EX_STARTED = 75  # this attempt, or a later one, was started before
LOOKS = 2.0  #: seconds that somebody who only looks has the lock at most
EX_ORDER = 78  # there is no order that could be carried out


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
    if here.last_start() >= attempt or not _locked(here):
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


def _locked(here: rundir.RunDir) -> bool:
    """Whether no other runner lives. Who only looks for one has the lock for a moment, too."""
    until = time.monotonic() + LOOKS
    while here.lock() is None:
        if time.monotonic() >= until:
            return False
        time.sleep(0.01)
    return True


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
