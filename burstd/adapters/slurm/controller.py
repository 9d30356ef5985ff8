"""What the queue asks of slurmctld, in Slurm's own words, whatever way it is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from burstd.adapters.slurm import records
from burstd.adapters.slurm.commands import Slurm
from burstd.domain.gres import Gres
from burstd.domain.jobs import JobIdentity, JobKey, Shape


@dataclass(frozen=True)
class Shown:
    """One job's record under the names of ``scontrol show job``. ``named``: it has the name that
    was asked for. ``marks``, ``own_extra``, ``gres``: see ``records``; ``None``: who asked can't
    tell them."""

    fields: Mapping[str, str]
    named: bool
    marks: tuple[str, ...] = ()
    own_extra: bool = False
    gres: tuple[Gres, ...] | None = None


class Controller(Protocol):
    """slurmctld. Every method may raise ``Unreachable``, ``AccessDenied`` or ``Rejected``.

    None judges what it is told: the queue reads before each change and reads back after it.
    """

    def queue(self) -> Iterable[Sequence[str]]:
        """Every job that is not over, as cells in the order of ``records.QUEUE_FIELDS``."""

    def idle(self) -> Mapping[str, int]:
        """See ``QueueSnapshot.idle``."""

    def boot(self) -> str:
        """The time of slurmctld's start, in seconds since 1970."""

    def told_accounting(self) -> bool:
        """True if accounting has heard of everything that slurmctld knows."""

    def show(self, who: JobIdentity) -> Shown:
        """The record of the job with this key. Raises ``NoSuchJob``."""

    def script(self, key: JobKey) -> str:
        """The batch script."""

    def shape(self, key: JobKey) -> Shape:
        """What it asks for."""

    def hold(self, key: JobKey) -> None:
        """Keep a pending job from starting."""

    def hold_for_user(self, key: JobKey) -> None:
        """Make it a hold that the job's user may undo."""

    def release(self, key: JobKey) -> None:
        """Undo ``hold``."""

    def requeue_held(self, key: JobKey) -> None:
        """End a running job and put it back, held; nothing to one that does not run any more."""

    def cancel(self, key: JobKey) -> None:
        """End a job: TERM, and KILL when KillWait is over."""

    def update(self, key: JobKey, pairs: Sequence[str]) -> None:
        """Change fields, ``name=value`` as scontrol(1) writes them: all of them or none."""

    def annotate(self, cluster: str, key: JobKey, line: str) -> None:
        """Leave a line on the accounting record of a job that has ended (its AdminComment)."""


@dataclass(frozen=True)
class CommandController:
    """``squeue`` and ``scontrol``: on every Slurm from 22.05 on."""

    slurm: Slurm

    def queue(self) -> Iterable[Sequence[str]]:
        form = records.QueueFormat.fresh()
        argv = ["squeue", "-h", "-a", "-t", ",".join(records.LIVING), "-o", form.option]
        return form.rows(self.slurm.run(argv))

    def idle(self) -> Mapping[str, int]:
        return records.idle(self.slurm.run(["sinfo", "-h", "-a", "-o", "%R|%C"]))

    def boot(self) -> str:
        return records.boot_time(self._scontrol("show", "config"))

    def told_accounting(self) -> bool:
        return records.nothing_unsent(self.slurm.run(["sdiag"]))

    def show(self, who: JobIdentity) -> Shown:
        record = self._scontrol("show", "job", "-o", str(who.key)).strip()
        extra = records.marks(record), records.own_extra(record), records.gres(record)
        if fields := records.fields(record, who.name):
            return Shown(fields, True, *extra)
        return Shown(records.fields(record), False, *extra)

    def script(self, key: JobKey) -> str:
        return self._scontrol("write", "batch_script", str(key), "-")

    def shape(self, key: JobKey) -> Shape:
        lines = self._scontrol("show", "job", "-o", str(key)).splitlines()
        return records.shape(records.fields(lines[0]), records.gres(lines[0]))

    def hold(self, key: JobKey) -> None:
        self._scontrol("hold", str(key))

    def hold_for_user(self, key: JobKey) -> None:
        self._scontrol("uhold", str(key))

    def release(self, key: JobKey) -> None:
        self._scontrol("release", str(key))

    def requeue_held(self, key: JobKey) -> None:
        # Else slurmctld would take back a job that has ended, or was cancelled, just now.
        self._scontrol("requeuehold", "Incomplete", str(key))

    def cancel(self, key: JobKey) -> None:
        self.slurm.run(["scancel", str(key)])

    def update(self, key: JobKey, pairs: Sequence[str]) -> None:
        self._scontrol("update", f"jobid={key}", *pairs)

    def annotate(self, cluster: str, key: JobKey, line: str) -> None:
        where = ["where", f"jobid={key}", f"cluster={cluster}"]
        argv = ["sacctmgr", "-i", "modify", "job", *where, "set", f"admincomment={line}"]
        self.slurm.run(argv)

    def _scontrol(self, *words: str) -> str:
        return self.slurm.run(["scontrol", *words])
