"""How a target plugin is declared: data, found by the entry point group ``burstd.targets``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burstd.domain.targets import Money, TargetName
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


@dataclass(frozen=True)
class TargetPlugin:
    """``settings`` is a pydantic model of the target's own table; ``open`` makes the Target."""

    settings: type[Any]
    open: Callable[[Any, PluginContext], Target]
