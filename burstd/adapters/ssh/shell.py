"""Commands at one far host: the OpenSSH client, one multiplexed connection per far user."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from burstd.adapters.programs import found
from burstd.adapters.ssh.authority import Authority
from burstd.ports.clock import Clock
from burstd.ports.errors import AccessDenied, Unreachable
from burstd.ports.remote import Failed, SshHost

VALID = timedelta(minutes=30)  #: of burstd's own certificates; renewed at half of it


def knock(host: SshHost, seconds: float = 5.0) -> bool:
    """Does its SSH server answer at all?"""
    try:
        with socket.create_connection((host.name, host.port), timeout=seconds) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


class OpenSsh:
    """``RemoteShell``; ``directory`` keeps short-lived keys and control sockets (0700)."""

    def __init__(
        self,
        host: SshHost,
        directory: Path,
        authority: Authority,
        clock: Clock,
        *,
        multiplex: bool = True,
    ) -> None:
        self._multiplex = multiplex
        self._host, self._port, self._known_hosts = host.name, host.port, host.known_hosts
        self._directory, self._authority, self._clock = directory, authority, clock
        self._renew_at: dict[str, float] = {}  #: uptime in seconds: a clock that is set back
        self._renewals: Counter[str] = Counter()
        self._keys: dict[str, Path] = {}
        self._lock = threading.Lock()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def access(self) -> dict[str, str]:
        return {
            "host": self._host,
            "port": str(self._port),
            "known_hosts": self._known_hosts.read_text(),
        }

    def certify(self, public_key: str, user: str, command: str, valid: timedelta) -> str:
        return self._authority.certify(public_key, user, valid, command)

    def run(
        self, user: str, argv: Sequence[str], stdin: bytes | BinaryIO = b"", deadline: float = 60.0
    ) -> str:
        command = [*self._client(user), shlex.join(argv)]
        text, file = (stdin, None) if isinstance(stdin, bytes) else (None, stdin)
        try:
            done = subprocess.run(
                found(command),
                input=text,
                stdin=file,
                capture_output=True,
                timeout=deadline,
                check=False,
                close_fds=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Unreachable(f"{self._host}: no answer in {deadline:g} s") from error
        except OSError as error:
            raise Unreachable(f"ssh could not be started: {error}") from error
        complaint = done.stderr.decode(errors="replace").strip()
        if done.returncode == 255:  # ssh(1): 255 is ssh's own failure
            if "Permission denied" in complaint:
                raise AccessDenied(f"{user}@{self._host}: {complaint[-300:]}")
            raise Unreachable(f"{user}@{self._host}: {complaint[-300:]}")
        if done.returncode != 0:
            raise Failed(
                f"{argv[0]} at {self._host} ended with {done.returncode}: {complaint[-300:]}",
                done.returncode,
                complaint,
            )
        return done.stdout.decode(errors="surrogateescape")

    def _client(self, user: str) -> list[str]:
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "10",
            "ServerAliveInterval": "5",
            "ServerAliveCountMax": "3",
            "UserKnownHostsFile": str(self._known_hosts),
            "StrictHostKeyChecking": "yes",
            "IdentitiesOnly": "yes",
            "LogLevel": "ERROR",
        }
        if self._multiplex:
            options |= {
                "ControlMaster": "auto",
                "ControlPersist": "60",
                "ControlPath": str(self._directory / "%C"),
            }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        identity = ["-i", str(self._identity(user)), "-p", str(self._port), "-F", os.devnull]
        return ["ssh", *identity, *words, f"{user}@{self._host}"]

    def _identity(self, user: str) -> Path:
        with self._lock:
            now = self._clock.uptime().seconds
            if self._renew_at.get(user, now) <= now:
                self._renewals[user] += 1
                # Two places in turn: an ssh that has just started reads the key it was told of.
                place = self._directory / f"keys{self._renewals[user] % 2}"
                place.mkdir(mode=0o700, exist_ok=True)
                self._keys[user] = self._authority.identity(place, user, VALID)
                self._renew_at[user] = now + VALID.total_seconds() / 2
            return self._keys[user]
