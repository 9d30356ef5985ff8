"""What is written on a stand-in, in the job's Extra, while it lives: one line that names its burst.

A job in the burst partition may be a stand-in already: its mark says so.
"""

from __future__ import annotations

import re
from dataclasses import replace

from burstd.domain.burst import Burst, BurstId
from burstd.domain.jobs import JobRecord
from burstd.ports.errors import Rejected
from burstd.ports.store import BurstStore

LONGEST = 255  #: characters


def mark(burst: Burst, currency: str) -> str:
    """``burst=ID,where=TARGET,application=NAME,at_most=AMOUNT``: for who looks at the job."""
    target = re.sub(r"[^\w.-]", "_", burst.target)
    application = re.sub(r"[^\w.-]", "_", burst.application)
    line = f"burst={burst.id},where={target},application={application}"
    return f"{line},at_most={burst.reserved}{currency}"[:LONGEST]


def as_submitted(record: JobRecord, store: BurstStore) -> JobRecord:
    """The record as the job was before its first trip: one that was requeued after it keeps the
    shape in which it was parked.

    Raises ``Rejected`` for the stand-in of a burst that this ledger does not know: it was
    restored, and the twin may be running.
    """
    for mark in record.marks if record.wish else ():
        burst = store.burst(BurstId(mark))
        if burst is None:
            raise Rejected(
                f"job {record.identity.key} is the stand-in of burst {mark}, which this ledger "
                "does not know: look for its twin before you scancel it"
            )
        before = burst.record
        if before is not None and before.identity.key == record.identity.key:
            record = replace(
                record, shape=before.shape, time_limit=before.time_limit, fields=before.fields
            )
    return record
