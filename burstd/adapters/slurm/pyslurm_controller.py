"""slurmctld by pyslurm, and by Slurm's commands where pyslurm has no way to say it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from burstd.adapters.slurm import records
from burstd.adapters.slurm.controller import Controller, Shown
from burstd.adapters.slurm.worker import Unsayable, Worker
from burstd.domain.jobs import JobIdentity, JobKey, Shape


@dataclass(frozen=True)
class PyslurmController:
    """Asks pyslurm in its ``worker``. ``commands`` do what that can't say: change one element of
    an array, the number of nodes, or a field to nothing."""

    worker: Worker
    commands: Controller

    def queue(self) -> Iterable[Sequence[str]]:
        rows: list[list[str]] = self.worker.ask(
            "queue", columns=records.QUEUE_FIELDS, over=records.OVER
        )
        return rows

    def idle(self) -> Mapping[str, int]:
        return self.commands.idle()

    def boot(self) -> str:
        return str(self.worker.ask("boot"))

    def told_accounting(self) -> bool:
        return self.commands.told_accounting()

    def show(self, who: JobIdentity) -> Shown:
        shown = self.worker.ask("show", job=who.key.job_id, task=who.key.array_task)
        extra = f" Extra={shown['extra']}"
        named = shown["name"] == who.name
        return Shown(shown["fields"], named, records.marks(extra), records.own_extra(extra))

    def script(self, key: JobKey) -> str:
        return str(self.worker.ask("script", job=key.job_id, task=key.array_task))

    def shape(self, key: JobKey) -> Shape:
        return self.commands.shape(key)  # of "gres/gpu:4" pyslurm makes nothing: it wants a "="

    def hold(self, key: JobKey) -> None:
        self._change("hold", key, self.commands.hold)

    def hold_for_user(self, key: JobKey) -> None:
        self.commands.hold_for_user(key)  # of one that is held already pyslurm makes nothing else

    def release(self, key: JobKey) -> None:
        self._change("release", key, self.commands.release)

    def requeue_held(self, key: JobKey) -> None:
        self.commands.requeue_held(key)  # pyslurm has no word for "only if it still runs"

    def cancel(self, key: JobKey) -> None:
        self._change("cancel", key, self.commands.cancel)

    def update(self, key: JobKey, pairs: Sequence[str]) -> None:
        command = partial(self.commands.update, pairs=pairs)
        self._change("update", key, command, pairs=list(pairs))

    def annotate(self, cluster: str, key: JobKey, line: str) -> None:
        self.commands.annotate(cluster, key, line)  # pyslurm changes no accounting

    def _change(
        self, do: str, key: JobKey, command: Callable[[JobKey], None], **more: object
    ) -> None:
        try:
            self.worker.ask(do, job=key.job_id, task=key.array_task, **more)
        except Unsayable:
            command(key)
