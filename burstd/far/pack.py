"""Makes the one file that is sent to the far end. Runs on the on-prem side."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from pathlib import Path

_STUB = b'"""The far end\'s part of burstd."""\n'


def build(dest: Path) -> str:
    """Writes the zipapp to `dest` and returns its SHA-256. The same sources give the same bytes."""
    home = Path(__file__).parent
    members = {"__main__.py": (home / "boot.py").read_bytes(), "burstd/__init__.py": _STUB}
    for source in home.rglob("*"):
        if source.suffix in (".py", ".sh", ".so") and "__pycache__" not in source.parts:
            members[f"burstd/far/{source.relative_to(home).as_posix()}"] = source.read_bytes()
    content = b"#!/usr/bin/env python3\n" + _zip(members)
    temporary = dest.with_name(dest.name + ".new")
    temporary.write_bytes(content)
    temporary.chmod(0o755)
    os.replace(temporary, dest)
    return hashlib.sha256(content).hexdigest()


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    # Stored, not deflated: the bytes must not depend on the machine's zlib.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as bundle:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            bundle.writestr(entry, members[name])
    return buffer.getvalue()
