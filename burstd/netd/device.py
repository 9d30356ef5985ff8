"""One WireGuard interface: made, keyed, looked at, removed.

The kernel's WireGuard is used where there is one, ``wireguard-go`` where not; pyroute2 makes the
interface, its address and route, wireguard-tools speaks to it (netlink or the userspace socket).
"""

from __future__ import annotations

import errno
import os
import subprocess
import time
from dataclasses import dataclass
from ipaddress import IPv4Interface
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError
from wireguard_tools import WireguardConfig, WireguardDevice, WireguardKey, WireguardPeer
from wireguard_tools.wireguard_uapi import WG_UAPI_SOCKET_DIR, WireguardUAPIDevice

from burstd.netd.settings import LinkSettings

KEEPALIVE = 25  #: seconds; also makes WireGuard shake hands at once
START_TIME = 5.0  #: seconds that wireguard-go gets to open its socket


@dataclass(frozen=True)
class Keys:
    """What one side of the link holds: ours, and the secret shared with the gate."""

    private: WireguardKey
    preshared: WireguardKey
    address: IPv4Interface


class NoWireguard(Exception):
    """Neither the kernel nor wireguard-go can make the interface."""


class Device:
    """One interface; all methods are idempotent."""

    def __init__(self, settings: LinkSettings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return self._settings.interface

    def exists(self) -> bool:
        return self._index() is not None

    def ensure(self) -> None:
        """Make the interface if it is not there. Raises ``NoWireguard``."""
        if self.exists():
            return
        with IPRoute() as ip:
            try:
                ip.link("add", ifname=self.name, kind="wireguard")
            except NetlinkError as error:
                if error.code not in (errno.EOPNOTSUPP, errno.ENODEV, errno.ENOENT):
                    raise NoWireguard(f"cannot make {self.name}: {error}") from error
                self._start_userspace()

    def use(self, keys: Keys, gate: WireguardKey) -> None:
        """Switch to ``keys``: address, route to the gate, and the gate as the only peer."""
        config = WireguardConfig(private_key=keys.private)
        config.add_peer(
            WireguardPeer(
                public_key=gate,
                preshared_key=keys.preshared,
                endpoint_host=self._settings.endpoint,
                endpoint_port=self._settings.port,
                persistent_keepalive=KEEPALIVE,
                allowed_ips=[IPv4Interface(f"{self._settings.gate_address}/32")],
            )
        )
        self._address(keys.address)
        _configure(self.name, config)

    def peer(self) -> WireguardPeer | None:
        """The gate as the interface sees it now; ``None`` where there is no interface."""
        if not self.exists():
            return None
        device = WireguardDevice.get(self.name)
        try:
            return next(iter(device.get_config().peers.values()), None)
        finally:
            device.close()

    def wait_for_handshake(self, seconds: float) -> bool:
        """True once the gate has answered since the last ``use``."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            peer = self.peer()
            if peer is not None and peer.last_handshake:
                return True
            time.sleep(0.05)
        return False

    def remove(self) -> None:
        """Take the interface down for good."""
        index = self._index()
        if index is not None:
            with IPRoute() as ip:
                ip.link("del", index=index)
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=START_TIME)
            self._process = None

    def _index(self) -> int | None:
        with IPRoute() as ip:
            found = ip.link_lookup(ifname=self.name)
        return found[0] if found else None

    def _start_userspace(self) -> None:
        socket = WG_UAPI_SOCKET_DIR / f"{self.name}.sock"
        socket.unlink(missing_ok=True)  # left by a wireguard-go that was killed
        # Without -f it forks itself, for ever where WG_PROCESS_FOREGROUND is set to anything but 1.
        try:
            self._process = subprocess.Popen(
                ["wireguard-go", "-f", self.name],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={"PATH": os.environ.get("PATH", "/usr/bin"), "LOG_LEVEL": "error"},
            )
        except OSError as error:
            raise NoWireguard(
                "the kernel has no WireGuard and wireguard-go is missing: install it"
            ) from error
        end = time.monotonic() + START_TIME
        while not (socket.exists() and self.exists()):
            if self._process.poll() is not None or time.monotonic() > end:
                raise NoWireguard(f"wireguard-go did not bring up {self.name}")
            time.sleep(0.02)

    def _address(self, address: IPv4Interface) -> None:
        index = self._index()
        with IPRoute() as ip:
            ip.flush_addr(index=index)
            ip.addr("add", index=index, address=str(address.ip), prefixlen=32)
            ip.link("set", index=index, mtu=self._settings.mtu, state="up")
            ip.route(
                "replace",
                dst=f"{self._settings.gate_address}/32",
                oif=index,
                prefsrc=str(address.ip),
            )


class _Userspace(WireguardUAPIDevice):
    """wireguard-tools 0.6 writes the preshared key in base64; the protocol wants hex
    (wireguard.com/xplatform), so the whole request is written here."""

    def set_config(self, config: WireguardConfig) -> None:
        if config.private_key is None:
            raise ValueError("a private key is needed")
        lines = ["set=1", f"private_key={config.private_key.hex}", "replace_peers=true"]
        for peer in config.peers.values():
            lines += [
                f"public_key={peer.public_key.hex}",
                f"endpoint={peer.endpoint_host}:{peer.endpoint_port}",
                f"persistent_keepalive_interval={peer.persistent_keepalive or 0}",
                "replace_allowed_ips=true",
                *(f"allowed_ip={address}" for address in peer.allowed_ips),
            ]
            if peer.preshared_key is not None:
                lines.append(f"preshared_key={peer.preshared_key.hex}")
        self.uapi_socket.sendall(("\n".join(lines) + "\n\n").encode())
        answer = dict(self._recvmsg())
        if answer.get("errno") != "0":
            raise OSError(int(answer.get("errno", "5")), "wireguard-go refused the configuration")


def _configure(name: str, config: WireguardConfig) -> None:
    path = WG_UAPI_SOCKET_DIR / f"{name}.sock"
    device = _Userspace(name) if path.exists() else WireguardDevice.get(name)
    try:
        device.set_config(config)
    finally:
        device.close()


def read_key(path: Path) -> WireguardKey:
    """One base64 line. Raises ``OSError`` or ``ValueError``."""
    return WireguardKey(path.read_text().strip())
