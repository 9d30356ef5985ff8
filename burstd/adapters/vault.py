"""The site's key in a file: 32 random bytes in hex, readable for burstd alone."""

from __future__ import annotations

import os
import stat
from base64 import b64decode, b64encode
from pathlib import Path

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from burstd.domain.keys import Signature
from burstd.ports.errors import AccessDenied, Mismatch

KEY = 32  #: bytes
_NONCE = 12


class FileVault:
    """Reads the file each time: the key stays in no memory for longer than it is used, and another
    file takes effect at once. Wrapping is AES-256-GCM, the signing key is derived by HKDF."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def wrap(self, key: bytes, meaning: str) -> str:
        nonce = os.urandom(_NONCE)
        sealed = AESGCM(self._derived(b"burstd wrap")).encrypt(nonce, key, meaning.encode())
        return b64encode(nonce + sealed).decode()

    def unwrap(self, wrapped: str, meaning: str) -> bytes:
        raw = b64decode(wrapped)
        cipher = AESGCM(self._derived(b"burstd wrap"))
        try:
            return cipher.decrypt(raw[:_NONCE], raw[_NONCE:], meaning.encode())
        except InvalidTag as error:
            raise Mismatch(
                f"a key of the ledger was not wrapped with {self._path}: give back the file that "
                "was there, or shred what was sealed with it (burst shred)"
            ) from error

    def sign(self, content: bytes) -> Signature:
        key = Ed25519PrivateKey.from_private_bytes(self._derived(b"burstd sign"))
        public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return Signature(public.hex(), key.sign(content).hex())

    def _derived(self, purpose: bytes) -> bytes:
        return HKDF(SHA256(), KEY, salt=None, info=purpose).derive(read(self._path))


def read(path: Path) -> bytes:
    """The site's key. Raises ``AccessDenied``: what is wrong, and the cure."""
    cure = f"openssl rand -hex 32 > {path}; owner burstd, mode 0600; keep a copy elsewhere"
    try:
        with path.open() as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(3 * KEY).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise AccessDenied(f"the site's key {path} can't be read: {error}; {cure}") from error
    if mode & 0o077:
        raise AccessDenied(f"the site's key {path} is open to others (mode {mode:o}): chmod 600")
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY:
        raise AccessDenied(f"the site's key {path} is not 64 hex digits; {cure}")
    return key


def is_signed(content: bytes, by: Signature) -> bool:
    """Whether the owner of that public key has signed these bytes."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(by.public_key))
        key.verify(bytes.fromhex(by.signature), content)
    except (ValueError, InvalidSignature):
        return False
    return True
