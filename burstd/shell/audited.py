"""Effects at a target, each written into the audit log before it is attempted."""

from __future__ import annotations

from dataclasses import dataclass, field

from burstd.domain.targets import Image, RemoteId, Ticket, WorkKey, WorkOrder
from burstd.ports.audit import Tell, nobody, told
from burstd.shell.passing import PassingTarget


@dataclass
class AuditedTarget(PassingTarget):
    """The same target, its changes told."""

    tell: Tell
    _prepared: set[str] = field(default_factory=set)

    def prepare(self, image: Image) -> None:
        # It is asked for at every step; told is the first time, for what is there stays there.
        tell = nobody if image.digest in self._prepared else self.tell
        with told(tell, "prepare", image=image.name, digest=image.digest):
            self.target.prepare(image)
        self._prepared.add(image.digest)

    def ticket(self, key: WorkKey, user: str, public_key: str) -> Ticket:
        with told(self.tell, "ticket", _burst(key), user=user):
            return self.target.ticket(key, user, public_key)

    def submit(self, work: WorkOrder) -> RemoteId:
        facts = {"user": work.user, "cpus": work.shape.cpus, "nodes": work.shape.nodes}
        with told(self.tell, "submit", _burst(work.key), **facts):
            return self.target.submit(work)

    def start(self, key: WorkKey) -> None:
        with told(self.tell, "start", _burst(key)):
            self.target.start(key)

    def cancel(self, key: WorkKey) -> None:
        with told(self.tell, "cancel", _burst(key)):
            self.target.cancel(key)

    def signal(self, key: WorkKey, name: str) -> None:
        with told(self.tell, "signal", _burst(key), signal=name):
            self.target.signal(key, name)

    def clean(self, key: WorkKey, user: str) -> None:
        with told(self.tell, "clean", _burst(key), user=user):
            self.target.clean(key, user)

    def tidy(self) -> None:
        with told(self.tell, "tidy"):
            self.target.tidy()


def _burst(key: WorkKey) -> str:
    return key.removeprefix("b-")
