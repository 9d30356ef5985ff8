"""A WireGuard link, looked at for ``burst doctor``: helper, session, gate, and what passes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from burstd.adapters.wireguard.gate import Gate
from burstd.domain.findings import Area, Finding, Grade
from burstd.domain.links import LinkView
from burstd.ports.errors import AccessDenied, PortError
from burstd.ports.link import Link
from burstd.ports.remote import Failed

LOAD = 64 * 1024  #: bytes: many full packets
TIME = 15.0  #: seconds for them, there and back
NETD = (
    "systemctl restart burst-netd; journalctl -u burst-netd; burstd's account must be in the group "
    "burst-net, and /etc/burstd/netd.toml must have [links.{}]"
)
_ENROLLED = "the gate took no session keys: the next findings say why"
CLOSED = "run `burst doctor --open-links` while burstd is stopped, or again while a burst runs"


@dataclass(frozen=True)
class LinkExamination:
    """``knock``: does the gate's SSH server answer? ``opening``: a link that is down may be
    brought up; who asks for that takes it down again."""

    name: str
    link: Link
    gate: Gate
    knock: Callable[[], bool]
    opening: bool

    def __call__(self) -> Iterator[Finding]:
        """Everything; more can be asked through it if ``session`` is ok and nothing failed."""
        area = Area(f"link {self.name}")
        try:
            seen = self.link.view()
        except PortError as error:
            yield area.failed("burst-netd", str(error), NETD.format(self.name))
            return
        yield area.ok("burst-netd", "answers")
        if not seen.up and self.opening:
            trouble, seen = self._opened()
            if trouble:
                cure = _ENROLLED if seen.up else _endpoint(self.name)
                yield area.failed("session", trouble, cure)
            else:
                yield session(area, self.name, seen)
        else:
            yield session(area, self.name, seen)
        if seen.up:
            yield from self._through(area)

    def _opened(self) -> tuple[str, LinkView]:
        """What went wrong. One that came up with the enrolment keys can carry the other questions,
        which tell why the gate took no session keys."""
        trouble = ""
        try:
            self.link.ensure_up()
        except PortError as error:
            trouble = str(error)
        return trouble, self.link.view()

    def _through(self, area: Area) -> Iterator[Finding]:
        if not self.knock():
            fix = (
                "start sshd at the gate; it must listen on its address inside the link. One that "
                "has refused us often is silent for a while: PerSourcePenaltyExemptList"
            )
            yield area.failed("gate", "its SSH server does not answer", fix)
            return
        yield area.ok("gate", "its SSH server answers")
        load = self._load(area)
        yield load
        if load.grade is Grade.OK:
            yield self._rights(area)

    def _load(self, area: Area) -> Finding:
        """Many bytes. That a greeting came through shows that small packets do."""
        check, sent = "full packets", secrets.token_hex(LOAD // 2)
        try:
            back = self.gate.shell.run(self.gate.user, ["cat"], sent.encode(), TIME)
        except AccessDenied as error:
            return area.failed(check, str(error), REFUSED)
        except PortError as error:
            return area.failed(check, f"SSH greets, then: {error}", _mtu(self.name))
        trouble = "" if back == sent else f"{LOAD} bytes were sent, {len(back)} came back"
        return area.judge(check, trouble, f"{LOAD // 1024} KiB there and back", _mtu(self.name))

    def _rights(self, area: Area) -> Finding:
        check, what = "gate's peers", f"{self.gate.user} may change those of {self.gate.interface}"
        argv = [*self.gate.command, "show", self.gate.interface, "allowed-ips"]
        try:
            self.gate.shell.run(self.gate.user, argv, deadline=TIME)
        except Failed as error:
            fix = f"let {self.gate.user} run wg(8) at the gate: links.{self.name}.gate_command"
            return area.failed(check, str(error), fix)
        except PortError as error:
            return area.unknown(check, str(error), "cure the link first")
        return area.ok(check, what)


def session(area: Area, name: str, seen: LinkView) -> Finding:
    """Is the link up?"""
    if seen.up:
        at = f"{seen.last_handshake:%H:%M:%S}" if seen.last_handshake else "unknown"
        keys = "session" if seen.session else "enrolment"
        numbers = f"{seen.bytes_in} bytes in, {seen.bytes_out} out"
        return area.ok("session", f"up with {keys} keys, last handshake {at} UTC, {numbers}")
    if seen.session:
        return area.failed("session", "it is up and the gate is silent", _endpoint(name))
    return area.unknown("session", "down: no burst needs it", CLOSED)


def _endpoint(name: str) -> str:
    return (
        f"see that UDP reaches links.{name}.endpoint of /etc/burstd/netd.toml (port 51820), that "
        "the gate runs, and that both ends have each other's public key and the same preshared key"
    )


def _mtu(name: str) -> str:
    return (
        "an MTU black hole: some router on the way drops large packets. Write mtu = 1280 under "
        f"[links.{name}] in /etc/burstd/netd.toml, restart burst-netd, and give the gate's "
        "interface the same: ip link set INTERFACE mtu 1280"
    )


REFUSED = (
    "the gate must trust the public half of paths.ssh_authority (TrustedUserCAKeys in its "
    "sshd_config), and its clock must be right: certificates bear an hour"
)
