"""The running program itself: where its one file lies, what it is."""

from __future__ import annotations

import hashlib
import os
import pkgutil
import sys
from typing import Optional


def archive() -> Optional[str]:
    """The absolute path of the zipapp that runs, or None when run from a source tree."""
    path = getattr(globals().get("__loader__"), "archive", None)
    return None if path is None else os.path.abspath(str(path))


def program_digest() -> Optional[str]:
    """The zipapp's SHA-256, or None when run from a source tree."""
    path = archive()
    if path is None:
        return None
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def command() -> list[str]:
    """How to start this very program again, also on another node of the job."""
    path = archive()
    return [sys.executable, "-m", "burstd.far"] if path is None else [sys.executable, path]


def resource(name: str) -> bytes:
    """A file that is shipped with the program."""
    content = pkgutil.get_data("burstd.far", name)
    if content is None:
        raise FileNotFoundError(name)
    return content
