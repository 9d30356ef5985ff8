"""A WireGuard link as burstd sees it: asks burst-netd, tells the far gate of each session's keys.

The enrolment keys only open the way to the gate; each time the link comes up a fresh key pair and
preshared key take over, so that an old capture can't be read with keys that are stolen later.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from burstd.adapters.wireguard.gate import Gate
from burstd.domain.links import LinkName, LinkView, SessionOffer
from burstd.ports.audit import Tell, nobody, told
from burstd.ports.errors import PortError, Unreachable

FORGETTING = 1.0  #: seconds; see Gate.withdraw
#: Seconds without another attempt after one that failed: all who want the link share it.
QUIET = 5.0
#: Seconds without a byte from the gate; burstd asks it something more often than that.
SILENCE = 45.0
DEADLINE = 30.0  #: seconds for one answer of netd (a handshake may take ten)


class WireguardLink:
    """``Link``. Safe for threads: one brings it up, the others wait."""

    def __init__(
        self,
        name: LinkName,
        netd: Path,
        gate: Gate,
        knock: Callable[[], bool],
        tell: Tell = nobody,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``knock``: does anybody answer at the gate, through the link?"""
        self._name, self._netd, self._gate, self._knock = name, netd, gate, knock
        self._tell, self._monotonic = tell, monotonic
        self._heard = (0, 0.0)  #: bytes that had come in, and when (monotonic)
        self._lock = threading.Lock()
        self._again_at, self._trouble = 0.0, ""

    def view(self) -> LinkView:
        seen = self._ask("view")
        try:
            at = seen["last_handshake"]
            return LinkView(
                self._name,
                up=bool(seen["up"]),
                session=bool(seen["session"]),
                last_handshake=datetime.fromtimestamp(at, UTC) if at else None,
                bytes_in=int(seen["bytes_in"]),
                bytes_out=int(seen["bytes_out"]),
            )
        except (KeyError, TypeError) as error:
            raise Unreachable(f"burst-netd at {self._netd} answered {seen!r:.200}") from error

    def ensure_up(self) -> None:
        with self._lock:
            seen = self.view()
            if seen.up and seen.session and self._is_heard(seen.bytes_in):
                return
            if self._monotonic() < self._again_at:
                raise Unreachable(self._trouble)
            try:
                self._open()
            except PortError as error:
                self._again_at, self._trouble = self._monotonic() + QUIET, str(error)
                raise

    def _is_heard(self, bytes_in: int) -> bool:
        """A gate that was restarted has forgotten our session, and WireGuard itself notices that
        after three minutes only: one that is silent for long is asked whether it is there."""
        now = self._monotonic()
        if bytes_in != self._heard[0] or (now - self._heard[1] > SILENCE and self._knock()):
            self._heard = (bytes_in, now)
        return now - self._heard[1] <= SILENCE

    def _open(self) -> None:
        with told(self._tell, "link_up", link=self._name):
            self._ask("enrol")
            offer = self._ask("offer")
            self._gate.admit(SessionOffer(**offer))
            self._ask("commit")

    def ensure_down(self) -> None:
        with self._lock:
            seen = self._ask("view")
            self._tell("effect.link_down", "", {"link": self._name})
            if seen["session"]:
                # A gate that can't be told forgets this session at the next one.
                with contextlib.suppress(PortError):
                    self._gate.withdraw(seen["public_key"])
                    # Until it has forgotten us it may still send: nobody should answer "closed".
                    time.sleep(FORGETTING)
            self._ask("down")

    def _ask(self, verb: str) -> dict[str, Any]:
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(DEADLINE)
                sock.connect(str(self._netd))
                sock.sendall(json.dumps({"verb": verb, "link": self._name}).encode() + b"\n")
                answer = json.loads(sock.makefile().readline())
            if not isinstance(answer, dict):
                raise ValueError(f"not an answer: {answer!r:.200}")
        except (OSError, ValueError) as error:
            raise Unreachable(f"burst-netd at {self._netd}: {error}") from error
        if "error" in answer:
            raise Unreachable(f"link {self._name}: {answer['error']}")
        return answer
