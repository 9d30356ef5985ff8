"""A ledger in one file.

``synchronous=FULL``: a committed row survives power loss. The write-ahead log is used only where
the SQLite library is free of the WAL-reset bug (sqlite.org, "wal.html": fixed in 3.51.3 and in the
backports 3.44.6 and 3.50.7), else a rollback journal. Not on a network file system: its locks and
its fsync are not what SQLite takes them for (sqlite.org, "How To Corrupt An SQLite Database").
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from sqlalchemy import Engine, create_engine, event

from burstd.ports.errors import Unreachable

#: Types as /proc/self/mountinfo names them; a FUSE one after ``fuse.``.
NETWORK = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs2", "glusterfs", "gpfs",
        "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "rclone", "s3fs",
        "smb3", "smbfs", "sshfs", "virtiofs", "weka", "wekafs",
    }
)  # fmt: skip
MOUNTS = Path("/proc/self/mountinfo")


def engine_on(path: Path, mounts: Path = MOUNTS) -> Engine:
    """The engine of the ledger at ``path``. Raises ``Unreachable`` for a place not fit for it."""
    kind = file_system(path.parent, mounts.read_text())
    if kind in NETWORK:
        raise Unreachable(
            f"the ledger {path} would lie on a network file system ({kind}), where SQLite loses "
            "data: set state.directory to a local disk, or state.database to a PostgreSQL"
        )
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
    journal = journal_mode(sqlite3.sqlite_version_info)

    @event.listens_for(engine, "connect")
    def _pragmas(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA journal_mode={journal}")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=ON")  # nothing stays of a destroyed key

    return engine


def journal_mode(version: tuple[int, ...]) -> str:
    """``WAL`` where the library's write-ahead log loses nothing."""
    fixed = (
        version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    )
    return "WAL" if fixed else "DELETE"


def file_system(directory: Path, mounts: str) -> str:
    """The type of the file system that holds a directory; "" if the mounts don't tell.

    proc(5), /proc/pid/mountinfo: the mount point is the fifth field, blanks in it are written in
    octal, the type is the first field behind the lone hyphen; of several the last one counts.
    """
    place = os.path.realpath(directory)
    found, longest = "", -1
    for line in mounts.splitlines():
        before, _, behind = line.partition(" - ")
        point = before.split()[4].encode().decode("unicode_escape")
        inside = place == point or place.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= longest:
            found, longest = behind.split()[0], len(point)
    return found.removeprefix("fuse.")
