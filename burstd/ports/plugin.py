"""How a target plugin is declared: data, found by the entry point group ``burstd.targets``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from burstd.domain.targets import Capabilities, Money, TargetName, TargetView
from burstd.ports.clock import Clock
from burstd.ports.remote import RemoteShell, SshHost
from burstd.ports.target import Target


@dataclass(frozen=True)
class PluginContext:
    """What the core gives a plugin; there are no globals."""

    name: TargetName
    price: Money  #: per core-hour
    clock: Clock
    state: Path  #: a directory of its own
    shell: Callable[[SshHost], RemoteShell]
    speeds: Mapping[str, float] = field(default_factory=dict)  #: by application, against on-prem
    cores: int | None = None  #: most that bursts may have there at once
    egress: Money = field(default=Money(Decimal(0)))  #: per GB that comes home
    gpu_price: Money = field(default=Money(Decimal(0)))  #: per GPU-hour
    gpus: int | None = None  #: most that bursts may have there at once

    def view(
        self, can: Capabilities, users: frozenset[str] | None, overhead: timedelta
    ) -> TargetView:
        """What a look at the target gives: what it can do, on the site's terms."""
        return TargetView(
            self.name, can, self.price, users, overhead=overhead,
            speeds=self.speeds, cores=self.cores, egress=self.egress,
            gpu_price=self.gpu_price, gpus=self.gpus,
        )  # fmt: skip


@dataclass(frozen=True)
class TargetPlugin:
    """``settings`` is a pydantic model of the target's own table; ``open`` makes the Target."""

    settings: type[Any]
    open: Callable[[Any, PluginContext], Target]
