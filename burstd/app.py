"""The composition root: from a checked configuration to the world that the shell acts on."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol, TypeVar

from burstd.adapters.clock import SystemClock
from burstd.adapters.slurm.commands import Slurm
from burstd.adapters.slurm.controller import CommandController, Controller
from burstd.adapters.slurm.pyslurm_controller import PyslurmController
from burstd.adapters.slurm.queue import SlurmQueue
from burstd.adapters.slurm.worker import Worker, argv
from burstd.adapters.slurm.worker import check as check_worker
from burstd.adapters.ssh.authority import Authority
from burstd.adapters.ssh.shell import OpenSsh
from burstd.adapters.store.sql import open_store
from burstd.adapters.wireguard.gate import Gate
from burstd.adapters.wireguard.link import WireguardLink
from burstd.config.model import Config, LinkTable, SiteTable
from burstd.config.policy import policy_of
from burstd.config.read import ConfigError, applications, check_settings
from burstd.domain.jobs import JobKey
from burstd.domain.links import LinkName
from burstd.domain.targets import Image, Money, TargetName
from burstd.ports.errors import Rejected
from burstd.ports.link import Link
from burstd.ports.plugin import PluginContext, TargetPlugin
from burstd.ports.queue import Queue
from burstd.ports.remote import RemoteShell, SshHost
from burstd.ports.store import BurstStore
from burstd.ports.target import Target
from burstd.shell.world import Site, World

GROUP = "burstd.targets"

Seam = TypeVar("Seam")


class Wire(Protocol):
    """What stands between burstd and each of its seams: nothing, or a test that watches it."""

    def __call__(self, name: str, seam: Seam) -> Seam:
        """The seam as burstd shall hold it."""


def direct(name: str, seam: Seam) -> Seam:
    """The seam itself."""
    return seam


@dataclass(frozen=True)
class Settings:
    """A configuration with its plugins found and their tables checked."""

    config: Config
    path: Path
    plugins: dict[str, TargetPlugin]
    tables: dict[str, object]


def check(config: Config, path: Path) -> Settings:
    """Find every configured plugin and check its table. Raises ``ConfigError``: all problems."""
    problems: list[str] = []
    plugins: dict[str, TargetPlugin] = {}
    tables: dict[str, object] = {}
    for name, target in config.targets.items():
        found = list(entry_points(group=GROUP, name=target.plugin))
        if not found:
            known = sorted(entry.name for entry in entry_points(group=GROUP))
            problems.append(
                f"{path}: targets.{name}.plugin: no plugin {target.plugin!r} is installed "
                f"(there are: {', '.join(known) or 'none'})"
            )
            continue
        plugins[name] = found[0].load()
        try:
            tables[name] = check_settings(plugins[name].settings, config, name, path)
        except ConfigError as error:
            problems += error.problems
    if config.site.scheduler == "pyslurm" and (why := check_worker(_worker_argv(config.site))):
        problems.append(f'{path}: site.scheduler: "pyslurm" can\'t be used: {why}')
    try:
        for app in applications(config.paths.applications).values():
            if config.targets and app.image not in config.images:
                problems.append(f"{path}: images.{app.image}: missing, profile {app.name} needs it")
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return Settings(config, path, plugins, tables)


def build(settings: Settings, moved: Callable[[JobKey], None], wire: Wire = direct) -> World:
    """Open everything. Raises ``PortError`` where a part can't be used."""
    config, clock = settings.config, SystemClock()
    state = config.state.directory
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = Authority(config.paths.ssh_authority, clock)
    sites = {}
    for name, target in config.targets.items():
        home = state / "targets" / name
        home.mkdir(mode=0o700, parents=True, exist_ok=True)

        def shell(host: SshHost, home: Path = home) -> RemoteShell:
            return wire("far", OpenSsh(host, home / "ssh", authority, clock))

        context = PluginContext(TargetName(name), Money(target.price[0]), clock, home, shell)
        opened: Target = settings.plugins[name].open(settings.tables[name], context)
        link: Link | None = None
        if target.link is not None:
            table = config.links[target.link]
            link = wire("link", _link(target.link, table, config, authority, clock, wire))
        sites[TargetName(name)] = Site(opened, link)
    store = wire("store", open_store(state / "ledger.db", config.site.cluster, clock))
    known = applications(config.paths.applications)
    _nothing_left_behind(store, sites, known)
    return World(
        clock=clock,
        store=store,
        queue=wire("queue", _queue(config.site, clock, wire("slurm", Slurm()))),
        sites=sites,
        policy=policy_of(config),
        applications=known,
        images={name: _image(name, table.file) for name, table in config.images.items()},
        cluster=config.site.cluster,
        moved=moved,
    )


def _queue(site: SiteTable, clock: SystemClock, commands: Slurm) -> Queue:
    names = (site.cluster, site.burst_partition, site.home_partition)
    controller: Controller = CommandController(commands)
    if site.scheduler == "pyslurm":
        controller = PyslurmController(Worker(_worker_argv(site)), controller)
    return SlurmQueue(*names, clock.now, commands, controller)


def _worker_argv(site: SiteTable) -> list[str]:
    return argv(site.pyslurm_python or sys.executable)


def _nothing_left_behind(store: BurstStore, sites: Collection[str], known: Collection[str]) -> None:
    """A target or profile may leave the configuration when its last burst is over, not before:
    nobody else would look after its twins. Raises ``Rejected``."""
    for burst in store.open_bursts():
        if burst.target and not (burst.target in sites and burst.application in known):
            raise Rejected(
                f"burst {burst.id} of job {burst.job} is open: target {burst.target!r} and "
                f"application {burst.application!r} must stay in the configuration until it is over"
            )


def _image(name: str, file: Path) -> Image:
    with file.open("rb") as opened:
        return Image(name, str(file), hashlib.file_digest(opened, "sha256").hexdigest())


def _link(
    name: str,
    table: LinkTable,
    config: Config,
    authority: Authority,
    clock: SystemClock,
    wire: Wire,
) -> Link:
    """A link whose gate is told of session keys by SSH through the link itself."""
    host = SshHost(table.gate_host, 22, table.known_hosts)
    home = config.state.directory / "links" / name
    shell = wire("gate", OpenSsh(host, home, authority, clock, multiplex=False))
    gate = Gate(shell, table.gate_user, table.gate_interface, table.gate_command)
    return WireguardLink(LinkName(name), config.paths.netd, gate)
