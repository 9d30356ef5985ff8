"""A target as it is: the ground for wrappers that add something to some of its methods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from burstd.domain.findings import Finding
from burstd.domain.targets import (
    Generation,
    Image,
    RemoteId,
    RemoteJob,
    RunState,
    TargetView,
    Ticket,
    WorkKey,
    WorkOrder,
)
from burstd.ports.target import Target


@dataclass
class PassingTarget:
    """``ports.target.Target``: every question and change is passed on."""

    target: Target

    def mark(self, site: str) -> str | None:
        return self.target.mark(site)

    def keep_mark(self, site: str, text: str) -> None:
        self.target.keep_mark(site, text)

    def observe(self) -> TargetView:
        return self.target.observe()

    def examine(self) -> Iterable[Finding]:
        return self.target.examine()

    def prepare(self, image: Image) -> None:
        self.target.prepare(image)

    def ticket(self, key: WorkKey, user: str, public_key: str) -> Ticket:
        return self.target.ticket(key, user, public_key)

    def generation(self) -> Generation:
        return self.target.generation()

    def submit(self, work: WorkOrder) -> RemoteId:
        return self.target.submit(work)

    def find(self, key: WorkKey) -> RemoteJob | None:
        return self.target.find(key)

    def poll(self, keys: Sequence[WorkKey]) -> Mapping[WorkKey, RemoteJob]:
        return self.target.poll(keys)

    def run_state(self, key: WorkKey, user: str) -> RunState:
        return self.target.run_state(key, user)

    def start(self, key: WorkKey) -> None:
        self.target.start(key)

    def cancel(self, key: WorkKey) -> None:
        self.target.cancel(key)

    def signal(self, key: WorkKey, name: str) -> None:
        self.target.signal(key, name)

    def clean(self, key: WorkKey, user: str) -> None:
        self.target.clean(key, user)

    def tidy(self) -> None:
        self.target.tidy()
