"""What ``burst doctor`` looks at, and how no part of it can hang the others."""

from __future__ import annotations

import errno
import os
import pwd
import queue
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from burstd.adapters.clock import SystemClock
from burstd.adapters.slurm.commands import Slurm
from burstd.adapters.slurm.examine import Site, SlurmExamination
from burstd.adapters.ssh.authority import Authority
from burstd.adapters.ssh.shell import OpenSsh, knock
from burstd.adapters.store.examine import StoreExamination
from burstd.adapters.wireguard.examine import CLOSED, LinkExamination
from burstd.adapters.wireguard.gate import Gate
from burstd.adapters.wireguard.link import WireguardLink
from burstd.app import Settings, licence_sources
from burstd.cli import bucket_examination
from burstd.domain.findings import Area, Examine, Finding, Grade, amount
from burstd.domain.links import LinkName
from burstd.domain.targets import Money, TargetName
from burstd.ports.errors import PortError
from burstd.ports.plugin import PluginContext
from burstd.ports.remote import SshHost
from burstd.ports.target import Target
from burstd.shell import licences

QUESTION = 10.0  #: seconds for one question to Slurm
#: Seconds for one part, all its questions together.
LOCAL, SLURM, FAR = 40.0, 90.0, 240.0


@dataclass(frozen=True)
class Part:
    """One part of the examination. ``name`` is the area in which a deadline is told."""

    name: str
    examine: Examine
    deadline: float


def findings(parts: Sequence[Part]) -> Iterator[Finding]:
    """All parts at once, in order; one that takes too long is left behind as UNKNOWN."""
    running = [(part, _started(part), time.monotonic() + part.deadline) for part in parts]
    for part, found, end in running:
        while True:
            try:
                finding = found.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                hint = "a file system or a program hangs: look with ps and df, then run it again"
                seen = f"not finished in {part.deadline:g} s"
                yield Area(part.name).unknown("deadline", seen, hint)
                break
            if finding is None:
                break
            yield finding


def _started(part: Part) -> queue.SimpleQueue[Finding | None]:
    """What a part finds, and ``None`` at its end."""
    found: queue.SimpleQueue[Finding | None] = queue.SimpleQueue()

    def look() -> None:
        try:
            for finding in part.examine():
                found.put(finding)
        except Exception as error:  # noqa: BLE001 - whatever is broken here, the rest is told
            seen = f"{type(error).__name__}: {error}"
            found.put(Area(part.name).unknown("examination", seen, "look at this by hand"))
        found.put(None)

    threading.Thread(target=look, name=part.name, daemon=True).start()
    return found


@dataclass(frozen=True)
class Doctor:
    """``home``: a private directory for keys and control files that nobody needs afterwards.
    ``opening``: links that are down may be brought up for as long as this takes."""

    settings: Settings
    home: Path
    opening: bool
    opened: list[WireguardLink] = field(default_factory=list)

    def parts(self) -> list[Part]:
        """In the order in which they are told."""
        config = self.settings.config
        store = StoreExamination(config.state.directory, config.state.database)
        links = sorted({table.link for table in config.targets.values()}, key=str)
        return [
            Part("on-prem Slurm", self._slurm, SLURM),
            Part("state", store, LOCAL),
            Part("images", self._images, LOCAL),
            Part("licences", self._licences, LOCAL),
            *(
                Part("targets" if link is None else f"link {link}", self._way(link), FAR)
                for link in links
            ),
        ]

    def _slurm(self) -> Iterator[Finding]:
        config, site = self.settings.config, self.settings.config.site
        others = tuple(dict.fromkeys((site.home_partition, *config.policy.partitions)))
        account = _account(config.state.directory)
        known = Site(site.cluster, site.burst_partition, others, account)
        yield from SlurmExamination(Slurm(QUESTION), known, SystemClock().now, self.home)()

    def _images(self) -> Iterator[Finding]:
        area = Area("images")
        for name, table in self.settings.config.images.items():
            trouble, seen = "", str(table.file)
            try:
                with table.file.open("rb") as file:
                    file.read(1)
                    seen += f", {amount(os.fstat(file.fileno()).st_size)}"
            except OSError as error:
                trouble = f"{table.file}: {error.strerror}"
            fix = f"put the file there, readable by burstd's account, or correct images.{name}.file"
            yield area.judge(name, trouble, seen, fix)

    def _licences(self) -> Iterator[Finding]:
        sources = licence_sources(self.settings.config, Slurm(QUESTION))
        yield from licences.findings(licences.look_at(sources))

    def _way(self, link: str | None) -> Callable[[], Iterator[Finding]]:
        """A link, and the targets behind it."""

        def examine() -> Iterator[Finding]:
            names = [n for n, table in self.settings.config.targets.items() if table.link == link]
            path = self.settings.config.paths.ssh_authority
            try:
                authority = Authority(path, SystemClock())
            except PortError as error:
                fix = f"ssh-keygen -t ed25519 -N '' -f {path}; owner burstd, mode 0600"
                yield Area("SSH authority").failed("key", str(error), fix)
                return
            yield Area("SSH authority").ok("key", str(path))
            if link is None:
                for name in names:
                    yield from self._target(name, authority, usable=True)
                yield from self._buckets(names, usable=True)
            else:
                yield from self._behind(link, names, authority)

        return examine

    def _behind(self, name: str, targets: Sequence[str], authority: Authority) -> Iterator[Finding]:
        config = self.settings.config
        table, idle = config.links[name], not _answers(config.api.socket)
        host = SshHost(table.gate_host, 22, table.known_hosts)
        shell = OpenSsh(host, self.home / name, authority, SystemClock(), multiplex=False)
        gate = Gate(shell, table.gate_user, table.gate_interface, table.gate_command)
        link = WireguardLink(LinkName(name), config.paths.netd, gate, lambda: knock(host))
        ours = self.opening and idle and not _up(link)
        if ours:
            self.opened.append(link)
        examination = LinkExamination(name, link, gate, lambda: knock(host), opening=ours)
        try:
            told = []
            for finding in examination():
                told.append(finding.grade)
                yield finding
            usable = {*told} == {Grade.OK}
            for target in targets:
                yield from self._target(target, authority, usable=usable)
            yield from self._buckets(targets, usable=usable)
        finally:
            if ours:
                self._lower(link)

    def _buckets(self, targets: Sequence[str], *, usable: bool) -> Iterator[Finding]:
        """Those that files of these targets pass through."""
        config = self.settings.config
        names = {name for target in targets if (name := config.targets[target].bucket)}
        for name in sorted(names):
            yield from bucket_examination.examine(name, config.buckets[name], usable=usable)

    def close(self) -> None:
        """Take down what was brought up here and is up still. May raise ``PortError``."""
        for link in tuple(self.opened):
            self._lower(link)

    def _lower(self, link: WireguardLink) -> None:
        """Unless burstd was started meanwhile: it may use the link by now, and lowers it itself."""
        if link in self.opened and not _answers(self.settings.config.api.socket):
            link.ensure_down()
            self.opened.remove(link)

    def _target(self, name: str, authority: Authority, *, usable: bool) -> Iterator[Finding]:
        area = Area(f"target {name}")
        clock, table = SystemClock(), self.settings.config.targets[name]
        home = self.home / "targets" / name
        home.mkdir(mode=0o700, parents=True)

        def shell(host: SshHost) -> OpenSsh:
            return OpenSsh(host, home / "ssh", authority, clock, multiplex=False)

        context = PluginContext(TargetName(name), Money(table.price[0]), clock, home, shell)
        target: Target = self.settings.plugins[name].open(self.settings.tables[name], context)
        yield _known(area, target.observe().users or ())
        if usable:
            yield from target.examine()
        else:
            seen = "not examined, for its link is down or has failed"
            yield area.unknown("everything else", seen, CLOSED)


def _up(link: WireguardLink) -> bool:
    """An answer that never comes is no yes; the examination tells of it."""
    try:
        return link.view().up
    except PortError:
        return True


def _answers(path: Path) -> bool:
    """Does burstd run? Only a socket that is not there or that nobody listens at says no."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(QUESTION)
        return sock.connect_ex(str(path)) not in (errno.ENOENT, errno.ECONNREFUSED)


def _account(state: Path) -> str:
    """burstd's: our own, or for root that of the state directory's owner."""
    us = os.geteuid()
    if us == 0 and state.exists():
        us = state.stat().st_uid
    try:
        return pwd.getpwuid(us).pw_name
    except KeyError:
        return str(us)


def _known(area: Area, users: Collection[str]) -> Finding:
    """Who may burst there must be a user of this machine."""
    missing = sorted(user for user in users if not _is_user(user))
    fix = f"correct settings.users of {area.name} in config.toml, or see why `getent passwd` has "
    trouble = f"no such user on this machine: {', '.join(missing)}" if missing else ""
    return area.judge("on-prem users", trouble, f"{len(users)} are here", f"{fix}none of that name")


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
