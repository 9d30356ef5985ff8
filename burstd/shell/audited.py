"""Effects at a target, each written into the audit log before it is attempted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from burstd.domain.findings import Finding
from burstd.domain.targets import (
    Generation,
    Image,
    RemoteId,
    RemoteJob,
    TargetView,
    Ticket,
    WorkKey,
    WorkOrder,
)
from burstd.ports.audit import Tell, nobody, told
from burstd.ports.target import Target


@dataclass(frozen=True)
class AuditedTarget:
    """``ports.target.Target``: the same target, its changes told."""

    target: Target
    tell: Tell
    _prepared: set[str] = field(default_factory=set)

    def mark(self, site: str) -> str | None:
        return self.target.mark(site)

    def keep_mark(self, site: str, text: str) -> None:
        self.target.keep_mark(site, text)

    def observe(self) -> TargetView:
        return self.target.observe()

    def examine(self) -> Iterable[Finding]:
        return self.target.examine()

    def prepare(self, image: Image) -> None:
        # It is asked for at every step; told is the first time, for what is there stays there.
        tell = nobody if image.digest in self._prepared else self.tell
        with told(tell, "prepare", image=image.name, digest=image.digest):
            self.target.prepare(image)
        self._prepared.add(image.digest)

    def ticket(self, key: WorkKey, user: str, public_key: str) -> Ticket:
        with told(self.tell, "ticket", _burst(key), user=user):
            return self.target.ticket(key, user, public_key)

    def generation(self) -> Generation:
        return self.target.generation()

    def submit(self, work: WorkOrder) -> RemoteId:
        facts = {"user": work.user, "cpus": work.shape.cpus, "nodes": work.shape.nodes}
        with told(self.tell, "submit", _burst(work.key), **facts):
            return self.target.submit(work)

    def find(self, key: WorkKey) -> RemoteJob | None:
        return self.target.find(key)

    def poll(self, keys: Sequence[WorkKey]) -> Mapping[WorkKey, RemoteJob]:
        return self.target.poll(keys)

    def start(self, key: WorkKey) -> None:
        with told(self.tell, "start", _burst(key)):
            self.target.start(key)

    def cancel(self, key: WorkKey) -> None:
        with told(self.tell, "cancel", _burst(key)):
            self.target.cancel(key)

    def clean(self, key: WorkKey, user: str) -> None:
        with told(self.tell, "clean", _burst(key), user=user):
            self.target.clean(key, user)


def _burst(key: WorkKey) -> str:
    return key.removeprefix("b-")
