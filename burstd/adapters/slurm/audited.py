"""Changes of the on-prem Slurm, each written into the audit log before it is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from burstd.adapters.slurm.controller import Controller, Shown
from burstd.domain.jobs import JobIdentity, JobKey, Shape
from burstd.ports.audit import Tell, told


@dataclass(frozen=True)
class AuditedController:
    """``Controller``: the same one, its changes told."""

    controller: Controller
    tell: Tell

    def queue(self) -> Iterable[Sequence[str]]:
        return self.controller.queue()

    def idle(self) -> Mapping[str, int]:
        return self.controller.idle()

    def boot(self) -> str:
        return self.controller.boot()

    def told_accounting(self) -> bool:
        return self.controller.told_accounting()

    def show(self, who: JobIdentity) -> Shown:
        return self.controller.show(who)

    def script(self, key: JobKey) -> str:
        return self.controller.script(key)

    def shape(self, key: JobKey) -> Shape:
        return self.controller.shape(key)

    def hold(self, key: JobKey) -> None:
        with told(self.tell, "hold", job=str(key)):
            self.controller.hold(key)

    def hold_for_user(self, key: JobKey) -> None:
        with told(self.tell, "uhold", job=str(key)):
            self.controller.hold_for_user(key)

    def release(self, key: JobKey) -> None:
        with told(self.tell, "release", job=str(key)):
            self.controller.release(key)

    def requeue_held(self, key: JobKey) -> None:
        with told(self.tell, "requeue_held", job=str(key)):
            self.controller.requeue_held(key)

    def cancel(self, key: JobKey) -> None:
        with told(self.tell, "scancel", job=str(key)):
            self.controller.cancel(key)

    def update(self, key: JobKey, pairs: Sequence[str]) -> None:
        with told(self.tell, "update", job=str(key), set=list(pairs)):
            self.controller.update(key, pairs)

    def annotate(self, cluster: str, key: JobKey, line: str) -> None:
        with told(self.tell, "annotate", job=str(key), line=line):
            self.controller.annotate(cluster, key, line)
