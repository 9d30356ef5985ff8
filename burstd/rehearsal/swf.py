"""The Standard Workload Format: one line a job, eighteen numbers.

Source: Feitelson, *The Standard Workload Format* V2.2, Parallel Workloads Archive. -1: not known.
"""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from burstd.rehearsal.history import History, NotLog, PastJob

_HEADER = re.compile(r";\s*(MaxProcs|MaxNodes|UnixStartTime)\s*:\s*(\d[\d,]*)")
_COLUMNS = 18
MOST = 10**10  #: of any number: three hundred years, and more jobs and processors than there are
#: Parts of a job that was stopped and went on; what they come to has a line of its own.
_PARTS = frozenset({"2", "3", "4"})
OLDEST = 315_532_800  #: the beginning of 1980: no log is older
(_NUMBER, _SUBMITTED, _RAN, _USED, _ASKED, _LIMIT, _STATUS, _USER, _GROUP, _APPLICATION,
 _QUEUE) = (0, 1, 3, 4, 7, 8, 10, 11, 12, 13, 14)  # fmt: skip


def read(path: Path, cores: int | None = None) -> History:
    """A log, plain or gzipped. ``cores``: of the cluster, instead of what its header says.

    Left out are jobs that never ran, that used no processor, or that are wider than the cluster,
    and the parts of those that ran in several. A job without a time limit gets the time it ran.
    Where a number comes twice, or none is told, jobs are counted by their submission. Raises
    ``NotLog`` and ``OSError``.
    """
    try:
        with _opened(path) as lines:
            return _history(path.name, lines, cores)
    except (EOFError, gzip.BadGzipFile) as error:
        raise NotLog(f"{path} is cut off or no gzip file: {error}; fetch it again") from error


def _opened(path: Path) -> TextIO:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    if packed:
        return gzip.open(path, "rt", errors="replace")
    return path.open(errors="replace")


def _history(name: str, lines: Iterable[str], cores: int | None) -> History:
    told: dict[str, int] = {}
    rows = list(_rows(name, lines, told))
    cores = cores or told.get("MaxProcs") or told.get("MaxNodes")
    if not cores:
        raise NotLog(f"{name} does not say MaxProcs in its header: give --procs N")
    left: Counter[str] = Counter()
    jobs = []
    for row in rows:
        job = _job(row)
        why = _part(row) or _why_not(job, cores)
        if why:
            left[why] += 1
        else:
            jobs.append(job)
    if not jobs:
        raise NotLog(f"{name} has no job that ran on {cores} processors: {dict(left)}")
    jobs.sort(key=lambda job: (job.submitted, job.number))
    if len({job.number for job in jobs}) < len(jobs):
        jobs = [replace(job, number=number) for number, job in enumerate(jobs, 1)]
    return History(name, cores, tuple(jobs), dict(left), _epoch(told, jobs[0].submitted))


def _epoch(told: Mapping[str, int], first: int) -> int | None:
    """Of the log's moment 0; there are logs whose submissions are since 1970, whatever they say."""
    epoch = told.get("UnixStartTime", 0)
    return epoch if epoch + first >= OLDEST and epoch <= MOST else None


def _rows(name: str, lines: Iterable[str], told: dict[str, int]) -> Iterator[list[str]]:
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text.startswith(";"):
            if found := _HEADER.match(text):
                told[found[1]] = int(found[2].replace(",", ""))
        elif text:
            cells = text.split(None, _COLUMNS)[:_COLUMNS]
            try:
                for column in (_NUMBER, _SUBMITTED, _RAN, _USED, _ASKED, _LIMIT):
                    if not -MOST <= float(cells[column]) <= MOST:
                        raise ValueError(cells[column])
            except (IndexError, ValueError) as error:
                raise NotLog(
                    f"line {number} of {name} is not one of the Standard Workload Format "
                    f"(eighteen numbers): {text[:60]!r}"
                ) from error
            yield cells


def _job(row: list[str]) -> PastJob:
    ran, limit, used = _whole(row[_RAN]), _whole(row[_LIMIT]), _whole(row[_USED])
    return PastJob(
        _whole(row[_NUMBER]),
        _whole(row[_SUBMITTED]),
        used if used > 0 else _whole(row[_ASKED]),
        max(limit, ran),
        ran,
        _named(row, _USER),
        _named(row, _GROUP),
        _named(row, _APPLICATION),
        _named(row, _QUEUE),
    )


def _part(row: list[str]) -> str:
    status = row[_STATUS] if len(row) > _STATUS else ""
    return "part of another" if status in _PARTS else ""


def _why_not(job: PastJob, cores: int) -> str:
    if job.ran <= 0:
        return "never ran"
    if job.cores <= 0:
        return "no processor"
    return "wider than the cluster" if job.cores > cores else ""


def _whole(text: str) -> int:
    return int(float(text))


def _named(row: list[str], column: int) -> str:
    text = row[column] if column < len(row) else "-1"
    unknown = ("-1",) if column == _QUEUE else ("-1", "0")  # only queues are counted from 0
    return "" if text in unknown else text


def written(history: History) -> Iterator[str]:
    """The same history as lines of the format. Users, accounts, applications and queues become
    numbers, in the order of their first job; so do the jobs' own. Times count from the first."""
    numbers: tuple[dict[str, int], ...] = ({}, {}, {}, {})
    first = history.jobs[0].submitted if history.jobs else 0
    epoch = first + (history.epoch or 0)
    yield f"; Version: 2.2\n; UnixStartTime: {epoch}\n; MaxProcs: {history.cores}\n"
    for number, job in enumerate(history.jobs, 1):
        names = (job.user, job.account, job.application, job.queue)
        user, group, application, queue = (
            known.setdefault(name, len(known) + 1) if name else -1
            for known, name in zip(numbers, names, strict=True)
        )
        yield (
            f"{number} {job.submitted - first} -1 {job.ran} {job.cores} -1 -1 {job.cores} "
            f"{job.limit} -1 1 {user} {group} {application} {queue} -1 -1 -1\n"
        )
