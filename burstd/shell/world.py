"""Everything outside, gathered in one frozen record: the shell's only argument."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from burstd.domain.applications import Application
from burstd.domain.jobs import JobKey
from burstd.domain.keys import Per
from burstd.domain.policy import BurstPolicy
from burstd.domain.targets import Image, TargetName
from burstd.ports.bucket import Bucket
from burstd.ports.clock import Clock
from burstd.ports.decisions import Decisions
from burstd.ports.licences import LicenceSource
from burstd.ports.link import Link
from burstd.ports.queue import Queue
from burstd.ports.store import BurstStore
from burstd.ports.target import Target
from burstd.ports.vault import Vault
from burstd.ports.witness import Witness


@dataclass(frozen=True)
class Site:
    """A target with the way to it. ``link`` is ``None`` where the network is already private.

    ``passage``: the name of the bucket that its files pass through; empty: they go over the line.
    ``line``: what the way is called, for those that share it; empty: nobody does. ``rate``: bytes
    a second that files of all bursts may take of it together; ``None``: all.
    """

    target: Target
    link: Link | None = None
    line: str = ""
    rate: int | None = None
    passage: str = ""
    #: How long what a profile calls on demand remains there behind its job's end; none: it comes.
    keeps: timedelta = timedelta()


@dataclass(frozen=True)
class Passage:
    """A bucket that files pass through, sealed. ``keep``: how long inputs of those who share a key
    lie there. ``link``: the way to it, where it is one that we open."""

    name: str
    bucket: Bucket
    vault: Vault
    per: Per
    keep: timedelta
    where: str  #: in words: the bucket and its server
    link: Link | None = None


@dataclass
class Rulebook:
    """The policy that holds. It changes between two ticks only. ``trouble``: why what its files say
    now can't be used; empty: they say this."""

    policy: BurstPolicy
    trouble: str = ""


@dataclass(frozen=True)
class World:
    """All ports, and the rules of this moment."""

    clock: Clock
    store: BurstStore
    witness: Witness  #: beside the ledger
    queue: Queue
    sites: Mapping[TargetName, Site]
    rules: Rulebook
    applications: Mapping[str, Application]
    images: Mapping[str, Image]
    licences: tuple[LicenceSource, ...] = ()
    decisions: Decisions | None = None  #: where they are kept; ``None``: they are not
    passages: Mapping[str, Passage] = field(default_factory=dict)
    cluster: str = "onprem"  #: Slurm's ClusterName, part of every JobKey
    #: Held from a look into the purse until what is taken from it is written down.
    paying: threading.Lock = field(default_factory=threading.Lock)
    #: Where somebody fetches what remains, and was heard last.
    visited: dict[TargetName, datetime] = field(default_factory=dict)
    #: Wakes agents that wait for their burst to move.
    moved: Callable[[JobKey], None] = field(default=lambda _job: None)

    @property
    def policy(self) -> BurstPolicy:
        """The one that holds."""
        return self.rules.policy
