"""The seam for commands at a far host that one reaches by SSH."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Protocol

from burstd.ports.errors import Rejected


@dataclass(frozen=True)
class SshHost:
    """Where to knock, and the file of host keys to believe."""

    name: str
    port: int
    known_hosts: Path


class Failed(Rejected):
    """The far command ran and ended with ``code``; ``complaint`` is its standard error."""

    def __init__(self, message: str, code: int, complaint: str) -> None:
        super().__init__(message)
        self.code = code
        self.complaint = complaint


class RemoteShell(Protocol):
    """One far host. Every method may raise ``Unreachable`` or ``AccessDenied``."""

    @property
    def access(self) -> dict[str, str]:
        """What an SSH client needs to find and trust the host: host, port, known_hosts line(s)."""

    def run(
        self, user: str, argv: Sequence[str], stdin: bytes | BinaryIO = b"", deadline: float = 60.0
    ) -> str:
        """Run one command as ``user``, argument by argument; its output. Raises ``Failed``."""

    def certify(self, public_key: str, user: str, command: str, valid: timedelta) -> str:
        """An OpenSSH certificate that lets the holder of ``public_key`` run ``command`` as
        ``user`` until ``valid`` is over, and nothing else: no pty, no forwarding."""
