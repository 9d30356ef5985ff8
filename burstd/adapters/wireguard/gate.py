"""The far end of a link: a WireGuard interface whose peers we may change by SSH."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from burstd.domain.links import SessionOffer
from burstd.ports.remote import RemoteShell


@dataclass(frozen=True)
class Gate:
    """``command`` runs wg(8) there as ``user``. ``shell`` must not keep connections open: none
    survives the change of keys that it announces."""

    shell: RemoteShell
    user: str
    interface: str
    command: tuple[str, ...] = ("wg",)

    def admit(self, offer: SessionOffer) -> None:
        """Accept the offered keys for the session's address; forget who had it before."""
        address = f"{offer.address}/32"
        before = self._wg("show", self.interface, "allowed-ips")
        stdin = offer.preshared_key.encode() + b"\n"
        argv = ["set", self.interface, "peer", offer.public_key]
        self._wg(*argv, "preshared-key", "/dev/stdin", "allowed-ips", address, stdin=stdin)
        for peer, addresses in _peers(before):
            if address in addresses and peer != offer.public_key:
                self._wg("set", self.interface, "peer", peer, "remove")

    def withdraw(self, public_key: str) -> None:
        """Forget the session. Answers first, acts after: the answer travels over the session."""
        argv = [*self.command, "set", self.interface, "peer", public_key, "remove"]
        script = f"(sleep 0.3; {shlex.join(argv)}) >/dev/null 2>&1 </dev/null &"
        self.shell.run(self.user, ["sh", "-c", script], deadline=15.0)

    def _wg(self, *words: str, stdin: bytes = b"") -> str:
        return self.shell.run(self.user, [*self.command, *words], stdin, deadline=15.0)


def _peers(shown: str) -> list[tuple[str, Sequence[str]]]:
    """(public key, addresses) of ``wg show IF allowed-ips``."""
    rows = (line.split() for line in shown.splitlines())
    return [(row[0], row[1:]) for row in rows if row]
