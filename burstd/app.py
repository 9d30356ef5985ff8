"""The composition root: from a checked configuration to the world that the shell acts on."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn, Protocol, TypeVar

from burstd import __version__
from burstd.adapters.clock import SystemClock
from burstd.adapters.decisions import FileDecisions
from burstd.adapters.licences.command import PARSERS, CommandSource, Feature
from burstd.adapters.licences.static import StaticSource
from burstd.adapters.s3.bucket import S3Bucket
from burstd.adapters.s3.client import Place
from burstd.adapters.slurm.audited import AuditedController
from burstd.adapters.slurm.commands import Slurm
from burstd.adapters.slurm.controller import CommandController, Controller
from burstd.adapters.slurm.licences import SlurmLicences
from burstd.adapters.slurm.pyslurm_controller import PyslurmController
from burstd.adapters.slurm.queue import SlurmQueue
from burstd.adapters.slurm.worker import Worker, argv
from burstd.adapters.slurm.worker import check as check_worker
from burstd.adapters.ssh.authority import Authority
from burstd.adapters.ssh.mute import Mute
from burstd.adapters.ssh.shell import OpenSsh, knock
from burstd.adapters.store.lease import Lease
from burstd.adapters.store.postgres import engine_at
from burstd.adapters.store.sql import SqlStore, open_store
from burstd.adapters.vault import FileVault
from burstd.adapters.wireguard.gate import Gate
from burstd.adapters.wireguard.link import WireguardLink
from burstd.adapters.witness import FileWitness
from burstd.config.layers import Layers
from burstd.config.model import Config, SiteTable, StateTable
from burstd.config.places import BucketTable, TargetTable
from burstd.config.policy import policy_of
from burstd.config.read import ConfigError, applications, check_settings, read_layers
from burstd.domain.jobs import JobKey
from burstd.domain.keys import Per
from burstd.domain.licences import Pool
from burstd.domain.links import LinkName
from burstd.domain.targets import Image, Money, TargetName, TargetView
from burstd.obs.logs import burst_under_way
from burstd.ports.clock import Clock
from burstd.ports.errors import Rejected
from burstd.ports.licences import LicenceSource
from burstd.ports.link import Link
from burstd.ports.plugin import PluginContext, TargetPlugin
from burstd.ports.queue import Queue
from burstd.ports.remote import RemoteShell, SshHost
from burstd.ports.store import BurstStore
from burstd.shell.audited import AuditedTarget
from burstd.shell.vouched import VouchedTarget
from burstd.shell.world import Passage, Rulebook, Site, World

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
    layers: Layers | None = None  #: the files that it was read from


def settings_in(path: Path) -> Settings:
    """What a file and all that it includes say. Raises ``ConfigError``: all problems."""
    config, layers = read_layers(path)
    return replace(check(config, path), layers=layers)


def check(config: Config, path: Path) -> Settings:
    """Find every configured plugin and check its table. Raises ``ConfigError``: all problems."""
    plugins, tables, problems = _plugins(config, path)
    if config.site.scheduler == "pyslurm" and (why := check_worker(_worker_argv(config.site))):
        problems.append(f'{path}: site.scheduler: "pyslurm" can\'t be used: {why}')
    if config.state.database and find_spec("psycopg") is None:
        problems.append(
            f"{path}: state.database: psycopg is not installed: pip install 'burstd[postgresql]'"
        )
    problems += _unfit_profiles(config, path)
    if problems:
        raise ConfigError(problems)
    return Settings(config, path, plugins, tables)


def offers(config: Config, path: Path) -> tuple[TargetView, ...]:
    """What every target offers as far as its table says: none of them is asked. Raises
    ``ConfigError``."""
    plugins, tables, problems = _plugins(config, path)
    if problems:
        raise ConfigError(problems)
    with TemporaryDirectory(prefix="burst-") as home:
        contexts = {
            name: _context(name, table, SystemClock(), Path(home), lambda _: Mute())
            for name, table in config.targets.items()
        }
        return tuple(
            plugins[name].open(tables[name], context).observe()
            for name, context in contexts.items()
        )


def _context(
    name: str, table: TargetTable, clock: Clock, home: Path, shell: Callable[[SshHost], RemoteShell]
) -> PluginContext:
    terms = Money(table.price[0]), clock, home, shell, table.speed, table.cores
    egress, gpu_price = (
        Money(paid[0] if paid else Decimal(0)) for paid in (table.egress, table.gpu_price)
    )
    return PluginContext(TargetName(name), *terms, egress, gpu_price, table.gpus)


def _plugins(
    config: Config, path: Path
) -> tuple[dict[str, TargetPlugin], dict[str, object], list[str]]:
    """Each target's, with its own table, and what is wrong with them."""
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
    return plugins, tables, problems


def _unfit_profiles(config: Config, path: Path) -> list[str]:
    """Those that can't be read, and what the others need that the configuration has not."""
    try:
        known = applications(config.paths.applications).values()
    except ConfigError as error:
        return error.problems
    return [
        f"{path}: {table}.{name}: missing, profile {app.name} needs it"
        for app in known
        for table, names, there in (
            ("images", (app.image,), config.images),
            ("licences", app.licences, config.licences),
        )
        for name in names
        if config.targets and name not in there
    ]


def place_of(table: BucketTable) -> Place:
    """Where a bucket is; its adapter opens it."""
    return Place(
        bucket=table.bucket,
        prefix=table.prefix,
        endpoint=table.endpoint,
        region=table.region,
        profile=table.profile,
        credentials=table.credentials,
    )


def lease_of(
    settings: Settings, name: str, clock: Clock, deposed: Callable[[str], NoReturn]
) -> Lease | None:
    """What several daemons of one ledger share; ``None`` where the ledger is a file."""
    url = settings.config.state.database
    return Lease(engine_at(url), name, clock, deposed=deposed) if url else None


def open_ledger(settings: Settings, clock: Clock, lease: Lease | None = None) -> BurstStore:
    """The ledger, brought up to date. Raises ``PortError`` where it can't be used."""
    config = settings.config
    if lease is not None:
        store = SqlStore(lease.engine, config.site.cluster, clock, lease.check)
        store.create()
        return store
    config.state.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return open_store(config.state.directory / "ledger.db", config.site.cluster, clock)


def build(
    settings: Settings,
    store: BurstStore,
    moved: Callable[[JobKey], None],
    wire: Wire = direct,
    clock: Clock | None = None,
) -> World:
    """Open everything else. Raises ``PortError`` where a part can't be used."""
    return _Builder(settings, clock or SystemClock(), wire("store", store), wire).world(moved)


@dataclass(frozen=True)
class _Builder:
    """What every part is made from."""

    settings: Settings
    clock: Clock
    store: BurstStore
    wire: Wire
    _links: dict[str, Link] = field(default_factory=dict)

    def world(self, moved: Callable[[JobKey], None]) -> World:
        config = self._config
        known = applications(config.paths.applications)
        _nothing_left_behind(self.store, config.targets, known, config.licences)
        _no_key_left_behind(self.store, config.buckets)
        return World(
            clock=self.clock,
            store=self.store,
            witness=FileWitness(config.state.directory / "head"),
            queue=self.wire("queue", self._queue(config.site)),
            sites={TargetName(name): self._site(name) for name in config.targets},
            rules=Rulebook(policy_of(config, self.settings.layers)),
            applications=known,
            licences=licence_sources(config, self.wire("slurm", Slurm())),
            decisions=_decisions(config.state),
            images={name: _image(name, table.file) for name, table in config.images.items()},
            passages={name: self._passage(name) for name in config.buckets},
            cluster=config.site.cluster,
            moved=moved,
        )

    @property
    def _config(self) -> Config:
        return self.settings.config

    def _tell(self, action: str, burst: str, facts: Mapping[str, object]) -> None:
        self.store.tell(action, burst or burst_under_way(), facts)

    def _site(self, name: str) -> Site:
        table = self._config.targets[name]
        home = self._config.state.directory / "targets" / name
        home.mkdir(mode=0o700, parents=True, exist_ok=True)

        def shell(host: SshHost) -> RemoteShell:
            return self.wire("far", self._ssh(host, home / "ssh"))

        context = _context(name, table, self.clock, home, shell)
        target = self.settings.plugins[name].open(self.settings.tables[name], context)
        link = None if table.link is None else self._link(table.link)
        vouched = VouchedTarget(target, self.store, self._config.site.cluster, name, self.clock)
        way = (table.link or "", table.rate)
        if table.link is not None:
            way = (table.link, self._config.links[table.link].rate)
        audited = AuditedTarget(vouched, self._tell)
        return Site(audited, link, *way, table.bucket or "", table.on_demand_age)

    def _passage(self, name: str) -> Passage:
        """With the way of the first target that uses it."""
        table = self._config.buckets[name]
        users = (target for target in self._config.targets.values() if target.bucket == name)
        link = next((target.link for target in users), None)
        place = place_of(table)
        return Passage(
            name=name,
            bucket=self.wire("bucket", S3Bucket(place)),
            vault=FileVault(table.site_key),
            per=Per(table.key),
            keep=table.keep,
            where=str(place),
            link=None if link is None else self._link(link),
        )

    def _link(self, name: str) -> Link:
        """One for all who go that way."""
        if name not in self._links:
            self._links[name] = self.wire("link", self._wireguard(name))
        return self._links[name]

    def _wireguard(self, name: str) -> Link:
        """A link whose gate is told of session keys by SSH through the link itself."""
        table = self._config.links[name]
        host = SshHost(table.gate_host, 22, table.known_hosts)
        home = self._config.state.directory / "links" / name
        shell = self.wire("gate", self._ssh(host, home, multiplex=False))
        gate = Gate(shell, table.gate_user, table.gate_interface, table.gate_command)
        netd = self._config.paths.netd
        return WireguardLink(LinkName(name), netd, gate, lambda: knock(host), self._tell)

    def _ssh(self, host: SshHost, home: Path, *, multiplex: bool = True) -> OpenSsh:
        authority = Authority(self._config.paths.ssh_authority, self.clock)
        return OpenSsh(host, home, authority, self.clock, multiplex=multiplex)

    def _queue(self, site: SiteTable) -> Queue:
        names = (site.cluster, site.burst_partition, site.home_partition)
        commands = self.wire("slurm", Slurm())
        controller: Controller = CommandController(commands)
        if site.scheduler == "pyslurm":
            controller = PyslurmController(Worker(_worker_argv(site)), controller)
        audited = AuditedController(controller, self._tell)
        return SlurmQueue(*names, self.clock.now, commands, audited)


def _decisions(state: StateTable) -> FileDecisions:
    return FileDecisions(state.directory / "decisions", state.decisions, __version__)


def licence_sources(config: Config, slurm: Slurm) -> tuple[LicenceSource, ...]:
    """One source for each command and deadline, one for Slurm, and one for the rest, as far as
    any licence needs them."""
    commands: dict[tuple[tuple[str, ...], str, float], dict[str, Feature]] = {}
    names: dict[str, str] = {}
    totals: dict[str, Pool] = {}
    for name, table in config.licences.items():
        if table.source == "command":
            key = table.command, table.format, table.deadline.total_seconds()
            commands.setdefault(key, {})[name] = Feature(table.feature or name, table.keep)
        elif table.source == "slurm":
            names[name] = table.feature or name
        else:
            totals[name] = Pool(name, table.total, 0, table.keep)
    sources: list[LicenceSource] = [
        CommandSource(words, PARSERS[form], features, deadline)
        for (words, form, deadline), features in commands.items()
    ]
    if names:
        kept = {name: config.licences[name].keep for name in names}
        sources.append(SlurmLicences(slurm, names, kept))
    return (*sources, StaticSource(totals)) if totals else tuple(sources)


def _worker_argv(site: SiteTable) -> list[str]:
    return argv(site.pyslurm_python or sys.executable)


def _nothing_left_behind(
    store: BurstStore,
    sites: Collection[str],
    known: Collection[str],
    licences: Collection[str],
) -> None:
    """A target, profile or licence may leave the configuration when its last burst is over, not
    before: nobody else would look after its twins, or count what they use. Raises ``Rejected``."""
    for burst in store.remaining():
        if burst.target not in sites:
            raise Rejected(
                f"results of job {burst.job} remain at target {burst.target!r}, which must stay in "
                "the configuration until they are removed there (targets.X.on_demand_age)"
            )
    for burst in (*store.open_bursts(), *store.quarantined()):
        if burst.target and not (burst.target in sites and burst.application in known):
            raise Rejected(
                f"burst {burst.id} of job {burst.job} is {burst.stage.value}: target "
                f"{burst.target!r} and application {burst.application!r} must stay in the "
                "configuration until it is over"
            )
        if gone := sorted(set(burst.licences) - set(licences)):
            raise Rejected(
                f"burst {burst.id} of job {burst.job} is {burst.stage.value} and has booked "
                f"{', '.join(gone)}: [licences.{gone[0]}] must stay in the configuration until "
                "it is over"
            )


def _no_key_left_behind(store: BurstStore, buckets: Collection[str]) -> None:
    """Nobody else would remove what was sealed with it. Raises ``Rejected``."""
    for key in store.seal_keys():
        if key.bucket not in buckets and key.emptied_at is None:
            raise Rejected(
                f"something of {key.scope} lies in bucket {key.bucket!r}: [buckets.{key.bucket}] "
                "must stay in the configuration until burst shred --list shows nothing of it"
            )


def _image(name: str, file: Path) -> Image:
    with file.open("rb") as opened:
        return Image(name, str(file), hashlib.file_digest(opened, "sha256").hexdigest())
