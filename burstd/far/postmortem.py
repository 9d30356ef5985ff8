"""The end record of an attempt whose runner did not live to write one.

A kill of all processes of a far job (the kernel's, the node's, an administrator's) takes the runner
along. What the payload had written by then is still the user's: whoever asks for the outputs finds
nobody alive and writes the record in the runner's place.
"""

from __future__ import annotations

import datetime
import os
import re
import time
from dataclasses import replace

from burstd.far import endrecord, outputs, paths, rundir
from burstd.far.endrecord import UNREADABLE, EndForged, EndRecord
from burstd.far.errors import BROKEN, BUSY, MISSING, NEVER_STARTED, FarError
from burstd.far.order import Order

KILLED = 137  # 128 + SIGKILL
AGAIN = 300  #: seconds; a file of terabytes may be read up to where its disk fails
#: In the canonical form a name has no quotes that are not escaped.
_UNREAD = b'"kind":"%s"' % UNREADABLE.encode()
_MARKER = re.compile(r"(\S+) \d+\s*")


def end_of(run: rundir.RunDir) -> bytes:
    """The end record, written now if its runner is dead. Where something in it could not be read,
    that is looked at once more now and then: somebody may have mended it.

    Raises FarError: never_started where nothing was, busy while a runner is alive, broken without
    the order of what was, missing without any order: a file system that is not mounted looks so.
    """
    record = run.read(rundir.END)
    if record is not None:
        return _again(run, record) if _UNREAD in record else record
    document, started = run.read(rundir.ORDER), run.last_start()
    order = None if document is None else Order.parse(document)
    if order is None and started:
        raise FarError(BROKEN, "the order of what has started is gone")
    if order is None:
        raise FarError(MISSING, "there is no order: this is not where it was sent to")
    if order.attempt != started:
        raise FarError(NEVER_STARTED, "this attempt has not started")
    if run.busy():
        raise FarError(BUSY, "its runner still writes the end record")
    record = run.read(rundir.END)  # it may have ended just now
    if record is not None:
        return record
    record = _examine(run, order).seal(order.secret)
    run.write(rundir.END, record)
    return record


def _again(run: rundir.RunDir, record: bytes) -> bytes:
    seen = os.stat(rundir.END, dir_fd=run.fd, follow_symlinks=False).st_mtime
    document = run.read(rundir.ORDER)
    if document is None or abs(time.time() - seen) < AGAIN or run.busy():
        return record
    order = Order.parse(document)
    try:
        end = EndRecord.unseal(record, order.secret, order.key)
    except EndForged:  # who asks says so
        return record
    if order.attempt != end.attempt:
        return record
    new = _read_since(run, order, end)
    if new == end:
        os.utime(rundir.END, dir_fd=run.fd, follow_symlinks=False)
        return record
    record = new.seal(order.secret)
    run.write(rundir.END, record)
    return record


def _read_since(run: rundir.RunDir, order: Order, end: EndRecord) -> EndRecord:
    """The record with what can be read by now, and without what is gone."""
    lost = {output.path for output in end.outputs if output.kind == UNREADABLE}
    began = os.stat(b"start.%d" % order.attempt, dir_fd=run.fd, follow_symlinks=False)
    with paths.directory(run.fd, (rundir.TREE,), create=True) as tree:
        harvest = outputs.collect(
            tree,
            outputs.Baseline(began.st_ctime_ns, _directories(order), {}),
            [entry for entry in order.inputs if outputs.below(entry.path, lost)],
            order.output_roots,
            _nothing,
            [paths.split(path) for path in sorted(lost)],
        )
    kept = [output for output in end.outputs if output.kind != UNREADABLE]
    there = {(output.path, output.kind) for output in kept}  # a directory that could not be listed
    kept += [output for output in harvest.outputs if (output.path, output.kind) not in there]
    return replace(
        end,
        outputs=tuple(sorted(kept, key=lambda output: output.path)),
        outside=tuple(sorted({*end.outside, *harvest.outside})),
        deleted=tuple(sorted({*end.deleted, *harvest.deleted})),
    )


def _examine(run: rundir.RunDir, order: Order) -> EndRecord:
    marker = b"start.%d" % order.attempt
    began = os.stat(marker, dir_fd=run.fd, follow_symlinks=False)
    host = _MARKER.fullmatch((run.read(marker) or b"").decode("utf-8", "replace"))
    io, last = run.directory(rundir.IO), _last_sign(run, began.st_ctime)
    young = last - began.st_ctime < outputs.REMEMBERED  # and what ran did so on another node
    baseline = outputs.Baseline(began.st_ctime_ns, _directories(order), {}, young)
    harvest = outputs.collect(
        run.directory(rundir.TREE), baseline, order.inputs, order.output_roots, _nothing
    )
    return EndRecord(
        key=order.key,
        attempt=order.attempt,
        exit_code=KILLED,
        signal=9,
        reason=endrecord.KILLED,
        message="all processes of the job were killed, the runner's too",
        started=_utc(began.st_ctime),
        ended=_utc(last),
        elapsed_s=round(max(0.0, last - began.st_ctime), 3),
        user_s=0.0,
        system_s=0.0,
        max_rss_kib=0,
        hosts=(host[1],) if host else (),
        runtime="",
        runtime_version="",
        outputs=harvest.outputs,
        outside=harvest.outside,
        deleted=harvest.deleted,
        stdout=outputs.stream_digest(io, b"stdout", _nothing),
        stderr=outputs.stream_digest(io, b"stderr", _nothing),
    )


def _directories(order: Order) -> frozenset[str]:
    """Those that the staging made: above every input, and the places that the runner binds."""
    found = set(order.binds) | {order.cwd}
    for path in (order.cwd, *(entry.path for entry in order.inputs)):
        parts = paths.split(path)
        found |= {paths.join(parts[:depth]) for depth in range(1, len(parts))}
    return frozenset(found)


def _last_sign(run: rundir.RunDir, otherwise: float) -> float:
    """When the runner's heart beat last."""
    try:
        return os.stat(rundir.STATUS, dir_fd=run.fd, follow_symlinks=False).st_mtime
    except FileNotFoundError:
        return otherwise


def _utc(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _nothing() -> None:
    """Nobody waits for a heartbeat."""
