"""The running program itself: where its one file lies, what it is."""

from __future__ import annotations

import os
import sys
from typing import Optional

#: Of Python: no site's or user's modules, which the program needs none of, and no search for them.
ALONE = ("-I", "-S")


def archive() -> Optional[str]:
    """The absolute path of the zipapp that runs, or None when run from a source tree."""
    path = getattr(globals().get("__loader__"), "archive", None)
    return None if path is None else os.path.abspath(str(path))


def program_digest() -> Optional[str]:
    """The zipapp's SHA-256, or None when run from a source tree."""
    path = archive()
    if path is None:
        return None
    known = getattr(globals()["__loader__"], "digest", None)  # by whoever compiled this very file
    if known is not None:
        return str(known)
    import hashlib  # takes its time

    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def command() -> list[str]:
    """How to start this very program again, also on another node of the job."""
    path = archive()
    if path is None:
        return [sys.executable, "-m", "burstd.far"]
    return [sys.executable, *ALONE, path]


def resource(name: str) -> bytes:
    """A file that is shipped with the program. Only for one that runs as a zipapp."""
    path = archive() or ""
    content: bytes = globals()["__loader__"].get_data(os.path.join(path, "burstd", "far", name))
    return content
