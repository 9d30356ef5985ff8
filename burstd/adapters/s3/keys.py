"""Access keys in a file, in the format of Amazon's own tools (``~/.aws/credentials``)."""

from __future__ import annotations

import configparser
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from burstd.ports.errors import AccessDenied


@dataclass(frozen=True)
class Keys:
    """What requests are signed with. ``token``: of keys that expire."""

    access: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


def read(path: Path, profile: str) -> Keys:
    """Those of one profile. Raises ``AccessDenied``: also where somebody else could read them, or
    could have written them."""
    try:
        with path.open() as file:
            _check(path, os.fstat(file.fileno()))
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise AccessDenied(f"{path} cannot be read: {error}") from error
    table = _profile(path, text, profile)
    try:
        names = "aws_access_key_id", "aws_secret_access_key"
        access, secret = (table[name] for name in names)
    except KeyError as error:
        raise AccessDenied(f"{path}: [{profile}] has no {error.args[0]}: add it") from error
    return Keys(access, secret, table.get("aws_session_token"))


def _check(path: Path, seen: os.stat_result) -> None:
    mode = stat.S_IMODE(seen.st_mode)
    if mode & 0o077:
        raise AccessDenied(f"{path} has mode {mode:04o}, others can read it: chmod 600 {path}")
    if seen.st_uid not in (0, os.geteuid()):
        raise AccessDenied(f"{path} belongs to user {seen.st_uid}: chown burstd {path}")


def _profile(path: Path, text: str, profile: str) -> dict[str, str]:
    # Without interpolation: a secret may hold a percent sign.
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
    except configparser.Error as error:
        # Its text quotes the line, and that may be the secret.
        why = type(error).__name__
        raise AccessDenied(f"{path} is not in the format of ~/.aws/credentials: {why}") from None
    if not parser.has_section(profile):
        raise AccessDenied(f"{path} has no [{profile}]: add it, or correct the bucket's profile")
    return dict(parser.items(profile))
