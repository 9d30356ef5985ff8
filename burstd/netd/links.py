"""What netd does for each verb. A link lives through: absent, enrolled, session, absent."""

from __future__ import annotations

import subprocess
import threading
import time
from dataclasses import dataclass
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError
from wireguard_tools import WireguardKey

from burstd.netd.device import Device, Keys, NoWireguard, read_key
from burstd.netd.settings import LinkSettings

#: Seconds. With a keepalive of 25 s a live link shakes hands at least every 145 s (wireguard.com,
#: "timers"); after 180 s its keys are worth nothing (REJECT_AFTER_TIME).
DEAD_AFTER = 180.0
HANDSHAKE_TIME = 10.0  #: seconds until the gate counts as silent


@dataclass
class Handshakes:
    """How old the last one is. The interface stamps them with the wall clock, which may be set:
    what counts is when a new stamp was first seen."""

    stamp: float | None = None
    seen_at: float = 0.0  #: monotonic

    def answers(self, stamp: float | None, now: float) -> bool:
        """True if the gate still answers: one that was restarted has forgotten our session."""
        if stamp != self.stamp:
            self.stamp, self.seen_at = stamp, now
        return bool(stamp) and now - self.seen_at <= DEAD_AFTER


class NoAnswer(Exception):
    """The gate did not shake hands."""


class LinkKeeper:
    """One link and its verbs. Session keys exist in this process's memory only."""

    def __init__(self, settings: LinkSettings) -> None:
        self._settings = settings
        self._device = Device(settings)
        self._offered: Keys | None = None
        self._session: Keys | None = None
        self._handshakes = Handshakes()
        self._lock = threading.Lock()

    def view(self) -> dict[str, Any]:
        """What is there now."""
        with self._lock:
            peer = self._device.peer()
            return {
                "up": peer is not None
                and self._handshakes.answers(peer.last_handshake, time.monotonic()),
                "session": self._session is not None and peer is not None,
                "public_key": str(self._session.private.public_key()) if self._session else None,
                "last_handshake": peer.last_handshake if peer else None,
                "bytes_in": (peer.rx_bytes or 0) if peer else 0,
                "bytes_out": (peer.tx_bytes or 0) if peer else 0,
            }

    def enrol(self) -> dict[str, Any]:
        """Bring the link up with the enrolment keys. Raises ``NoAnswer``."""
        with self._lock:
            s = self._settings
            keys = Keys(
                read_key(s.enrol_private_key), read_key(s.enrol_preshared_key), s.enrol_address
            )
            self._session = None
            self._switch(keys)
            return {}

    def offer(self) -> dict[str, Any]:
        """Fresh keys for one session; nothing changes before ``commit``."""
        with self._lock:
            private, preshared = WireguardKey.generate(), WireguardKey.generate()
            self._offered = Keys(private, preshared, self._settings.session_address)
            return {
                "public_key": str(private.public_key()),
                "preshared_key": str(preshared),
                "address": str(self._settings.session_address.ip),
            }

    def commit(self) -> dict[str, Any]:
        """Switch to the offered keys. Raises ``NoAnswer`` if the gate does not know them."""
        with self._lock:
            if self._offered is None:
                raise NoAnswer("no session keys were offered since burst-netd started")
            self._switch(self._offered)
            self._offered, self._session = None, self._offered
            return {}

    def down(self) -> dict[str, Any]:
        """Remove the interface and forget the session."""
        with self._lock:
            self._device.remove()
            self._offered = self._session = None
            return {}

    def _switch(self, keys: Keys) -> None:
        self._device.ensure()
        self._device.use(keys, read_key(self._settings.gate_public_key))
        if not self._device.wait_for_handshake(HANDSHAKE_TIME):
            raise NoAnswer(
                f"{self._settings.endpoint}:{self._settings.port} did not shake hands within "
                f"{HANDSHAKE_TIME:g} s: is UDP let through, do the keys match?"
            )


VERBS = frozenset({"view", "enrol", "offer", "commit", "down"})
EXPECTED = (
    NoAnswer, NoWireguard, NetlinkError, subprocess.TimeoutExpired, OSError, ValueError,
)  # fmt: skip
