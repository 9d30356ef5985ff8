"""What objects are called, and which of them a name or a directory stands for."""

from __future__ import annotations

import re

from burstd.ports.errors import Rejected

_NAME = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)*")


def name(text: str) -> str:
    """Itself. Raises ``Rejected`` where it is none."""
    if not _NAME.fullmatch(text):
        raise Rejected(f"{text!r:.100} is no object's name: lower-case letters, digits, / and -")
    return text


def below(text: str) -> str:
    """Itself: a directory, a name, or empty for everything. Raises ``Rejected``."""
    if text:
        name(text.removesuffix("/"))
    return text


def covers(wanted: str, key: str) -> bool:
    """Is that key meant? Below a directory all are; a name means one, not all that begin so."""
    return key.startswith(wanted) if wanted.endswith("/") else key == wanted
