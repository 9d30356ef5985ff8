"""burstd's SSH certificate authority: short-lived certificates, one purpose each.

The format is OpenSSH's PROTOCOL.certkeys.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
    load_ssh_private_key,
    load_ssh_public_key,
)

from burstd.domain.links import SKEW
from burstd.ports.clock import Clock
from burstd.ports.errors import AccessDenied, Rejected


class Authority:
    """Signs with the key in ``path`` (OpenSSH format, ed25519, no passphrase)."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        try:
            key = load_ssh_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError) as error:
            raise AccessDenied(f"the SSH authority's key {path} cannot be used: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise AccessDenied(f"{path} is not an ed25519 key")
        self._key = key

    def certify(
        self, public_key: str, user: str, valid: timedelta, command: str | None = None
    ) -> str:
        """A user certificate for ``user``; with ``command`` it can run only that."""
        try:
            key = load_ssh_public_key(public_key.encode())
        except ValueError as error:
            raise Rejected(f"not a public key: {error}") from error
        now: datetime = self._clock.now()
        builder = (
            SSHCertificateBuilder()
            .public_key(key)  # type: ignore[arg-type]  # all kinds that OpenSSH writes
            .type(SSHCertificateType.USER)
            .key_id(f"burstd {user}".encode())
            .valid_principals([user.encode()])
            .valid_after((now - SKEW).timestamp())
            .valid_before((now + valid + SKEW).timestamp())
        )
        if command is not None:
            builder = builder.add_critical_option(b"force-command", command.encode())
        return builder.sign(self._key).public_bytes().decode()

    def identity(self, directory: Path, user: str, valid: timedelta) -> Path:
        """A fresh key pair with a certificate for ``user``, written below ``directory``.

        Returns the private key's path; the certificate lies beside it, as ssh expects.
        """
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        path = directory / f"{user}.key"
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        Path(f"{path}-cert.pub").write_text(self.certify(public, user, valid) + "\n")
        return path
