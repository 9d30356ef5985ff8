"""What was read of files before: one that has not changed since need not be read again.

A cache on the proxy node's own disk, one for each user; whatever is wrong with it, files are read.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, takewhile
from pathlib import Path
from typing import Any, NamedTuple

from burstd.agent.facts import Fact, Stamp, opened, raw
from burstd.far.chunks import ALONE

#: /var/tmp outlives a boot (hier(7)); any user may make a directory there.
PLACE = Path("/var/tmp")  # noqa: S108 - looked at before it is trusted
VERSION = 4
#: A file that was written in the moment in which it was read may have been written once more in the
#: same tick of its file system's clock: NFS servers and ours differ by less than this.
SETTLED = 3.0  #: seconds
KEPT = 60  #: days since a file was last asked for
_AT_ONCE = 500
#: Written in one statement: at each one another thread gets the interpreter, and keeps it.
_ROWS = 50
_BESIDE = 3  #: files that are looked at, before and behind
_FEW = 3200  #: bytes of names that are handed out with others: hundreds of large files have MB each
_MANY = 2**20  #: bytes of names that lie in parts: a file of 100 GB has 110 MB of them

#: ``parts``: those of files that are being read, and of those that were. ``backwards``: the path of
#: a large one, its last component first: it lies beside others that end as it does.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    path BLOB PRIMARY KEY, size INTEGER, mtime INTEGER, ctime INTEGER, inode INTEGER, day INTEGER,
    digest BLOB, sizes BLOB, names BLOB, parts BLOB, backwards BLOB
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS alike ON files (backwards, size) WHERE backwards IS NOT NULL;
CREATE TABLE IF NOT EXISTS parts (
    parts BLOB, number INTEGER, day INTEGER, sizes BLOB, names BLOB, PRIMARY KEY (parts, number)
);
CREATE TRIGGER IF NOT EXISTS forgotten AFTER DELETE ON files WHEN old.parts IS NOT NULL BEGIN
    DELETE FROM parts WHERE parts = old.parts;
END;
"""
_SHORT = f"""
SELECT path, size, mtime, ctime, inode, day, digest,
    CASE WHEN length(names) <= {_FEW} AND parts IS NULL THEN sizes END,
    CASE WHEN length(names) <= {_FEW} AND parts IS NULL THEN names END FROM files
"""  # noqa: S608 - a number
#: Of files that nobody has read to their ends.
_UNREAD = """
DELETE FROM parts WHERE day < ? AND parts NOT IN (SELECT parts FROM files WHERE parts IS NOT NULL)
"""


class Known(NamedTuple):
    """A file as it was read: digest, and the sizes (4 bytes each) and names of its chunks; what
    there is of them before ``parts``, if that is any."""

    path: str
    stamp: Stamp
    digest: bytes
    sizes: bytes
    names: bytes
    left_out: bool = False  #: sizes and names: they are many
    parts: bytes | None = None  #: what these are called


class Names:
    """Sizes and names of a file's chunks while it is read. Where they are many they lie in the
    index; if they can't, they are not kept anywhere."""

    def __init__(self, index: Index) -> None:
        self.size = 0  #: bytes of the file so far
        self._index = index
        self._sizes, self._names = array("I"), bytearray()
        self._parts, self._number, self._lost = b"", 0, False

    def add(self, sizes: Sequence[int], names: bytes) -> None:
        """Those of the next chunks."""
        self.size += sum(sizes)
        self._sizes.extend(sizes)
        self._names += names
        if len(self._names) > _MANY:
            self._spill()

    def known(self, path: str, stamp: Stamp, digest: bytes) -> Known | None:
        """The file, of which all are there."""
        if self._parts:
            self._spill()
            return None if self._lost else Known(path, stamp, digest, b"", b"", parts=self._parts)
        return Known(path, stamp, digest, self._sizes.tobytes(), bytes(self._names))

    def _spill(self) -> None:
        self._parts = self._parts or os.urandom(16)
        row = (self._parts, self._number, _today(), self._sizes.tobytes(), bytes(self._names))
        self._lost = self._lost or not self._index.keep_part(row)
        self._number += 1
        self._sizes, self._names = array("I"), bytearray()


class Index:
    """Several agents of one user may use it at once. No method raises for what is wrong with it."""

    def __init__(self, directory: Path) -> None:
        self._database: sqlite3.Connection | None = None
        with contextlib.suppress(sqlite3.Error, OSError):
            directory.mkdir(mode=0o700, exist_ok=True)
            fact = directory.lstat()
            if stat.S_ISDIR(fact.st_mode) and fact.st_uid == os.geteuid():
                directory.chmod(0o700)
                path = directory / f"files-{VERSION}.sqlite"
                if not path.exists():
                    _forget_earlier(path)
                self._database = _opened(path)

    @classmethod
    def own(cls) -> Index:
        """That of whoever runs this."""
        return cls(PLACE / f"burst-index-{os.geteuid()}")

    def known(self, paths: Sequence[str]) -> dict[str, Known]:
        """Those of the files that were read before."""
        found: dict[str, Known] = {}
        if self._database is None:
            return found
        with contextlib.suppress(sqlite3.Error):
            today = _today()
            for at in range(0, len(paths), _AT_ONCE):
                some = raw(paths[at : at + _AT_ONCE]).split(b"\0")[:-1]
                among = f"WHERE path IN ({','.join('?' * len(some))})"
                rows = self._database.execute(f"{_SHORT} {among}", some).fetchall()
                found |= {one.path: one for one in map(_known, rows)}
                if any(row[5] < today for row in rows):
                    self._database.execute(f"UPDATE files SET day = ? {among}", [today, *some])  # noqa: S608
            self._database.commit()
        return found

    def alike(self, path: str) -> list[tuple[str, int]]:
        """Paths and sizes of large files of the same name; of many those whose paths end as this
        one does."""
        name, found = _backwards(path), list[tuple[str, int]]()
        for asked in ("< ? ORDER BY backwards DESC", "> ? ORDER BY backwards"):
            row = f"SELECT path, size FROM files WHERE backwards {asked} LIMIT {_BESIDE}"  # noqa: S608
            found += [(os.fsdecode(path), size) for path, size in self._rows(row, (name,))]
        return [one for one in found if alike(one[0], path)]

    def pieces(self, known: Known) -> Iterator[tuple[bytes, bytes]]:
        """Sizes and names of its chunks, in their order, some at a time; too few of them where
        another has changed it since."""
        if not known.left_out:
            yield known.sizes, known.names
            return
        raw, number = os.fsencode(known.path), 0
        asked = "SELECT sizes, names, parts FROM files WHERE path = ? AND digest = ?"
        for sizes, names, parts in self._rows(asked, (raw, known.digest)):
            if parts is None:
                yield sizes, names
                return
            part = "SELECT sizes, names FROM parts WHERE parts = ? AND number = ?"
            while rows := self._rows(part, (parts, number)):
                yield rows[0]
                number += 1

    def _rows(self, asked: str, facts: tuple[object, ...]) -> list[Any]:
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                return self._database.execute(asked, facts).fetchall()
        return []

    def keep_part(self, row: tuple[bytes, int, int, bytes, bytes]) -> bool:
        """Remember some chunks of a file that is being read; false where that can't be."""
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("INSERT INTO parts VALUES (?, ?, ?, ?, ?)", row)
                self._database.commit()
                return True
        return False

    def keep(self, files: Iterable[Known], read_at_ns: int) -> None:
        """Remember files that were read from ``read_at_ns`` on (nanoseconds since 1970)."""
        still = read_at_ns - round(SETTLED * 1e9)
        rows = [
            (
                os.fsencode(f.path), *f.stamp, _today(), f.digest, f.sizes, f.names, f.parts,
                _backwards(f.path) if f.stamp.size > ALONE else None,
            )
            for f in files
            if max(f.stamp.mtime_ns, f.stamp.ctime_ns) < still
        ]  # fmt: skip
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                for at in range(0, len(rows), _ROWS):
                    some = rows[at : at + _ROWS]
                    marks = ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"] * len(some))
                    self._database.execute(
                        f"INSERT OR REPLACE INTO files VALUES {marks}",  # noqa: S608 - none of others
                        list(chain.from_iterable(some)),
                    )
                self._database.commit()

    def forget(self, path: str) -> None:
        """It was not what it looked like."""
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("DELETE FROM files WHERE path = ?", (os.fsencode(path),))
                self._database.commit()

    def close(self) -> None:
        """Forgets what nobody asks for any more."""
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("DELETE FROM files WHERE day < ?", (_today() - KEPT,))
                self._database.execute(_UNREAD, (_today() - 1,))
                self._database.commit()
            self._database.close()


def unchanged(known: Mapping[str, Known]) -> dict[str, Fact]:
    """Of those that are as they were when they were read."""
    paths = list(known)
    facts = zip(paths, opened(paths), strict=True)
    return {path: fact for path, fact in facts if fact and fact.stamp == known[path].stamp}


def _known(row: tuple[Any, ...]) -> Known:
    path, size, mtime, ctime, inode, _, digest, sizes, names = row
    stamp = Stamp(size, mtime, ctime, inode)
    if names is None:
        return Known(os.fsdecode(path), stamp, digest, b"", b"", left_out=True)
    return Known(os.fsdecode(path), stamp, digest, sizes, names)


def _backwards(path: str) -> bytes:
    return b"/".join(reversed(os.fsencode(path).split(b"/")))


def alike(one: str, other: str) -> int:
    """How many of the last components of two paths are the same."""
    pairs = zip(reversed(one.split("/")), reversed(other.split("/")), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _forget_earlier(path: Path) -> None:
    """Indexes of earlier versions; an agent of theirs that has one open keeps it."""
    for left in path.parent.glob("files-*"):
        if not left.name.startswith(path.name):  # another of ours may have begun just now
            left.unlink(missing_ok=True)


def _opened(path: Path) -> sqlite3.Connection:
    try:
        return _connected(path)
    except sqlite3.OperationalError:  # locked, no room
        raise
    except sqlite3.DatabaseError:  # no database any more
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return _connected(path)


def _connected(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=5, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("PRAGMA recursive_triggers = ON")  # a row that is replaced is deleted
    database.executescript(_SCHEMA)
    return database


def _today() -> int:
    return round(time.time()) // 86400  # noqa: TID251 - days; only ages are compared
