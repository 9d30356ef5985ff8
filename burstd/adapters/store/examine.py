"""The ledger and the directory around it, looked at for ``burst doctor``; nothing is written."""

from __future__ import annotations

import os
import pwd
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from burstd.adapters.store.migrate import versions
from burstd.adapters.store.postgres import engine_at
from burstd.adapters.store.sqlite import MOUNTS, NETWORK, file_system
from burstd.domain.findings import Area, Finding, Grade, room

AREA = Area("state")
#: Seconds for reading the ledger through. A burstd that wants to write meanwhile waits for 30.
TIME = 15.0
RIGHTS = "run burst doctor as burstd's account, or as root"
BROKEN = (
    "stop burstd, keep a copy of the file, and restore the last backup of it: burstd then starts "
    "in safe mode, and `burst status` says what to do"
)
SERVER = (
    "see that the server runs, that pg_hba.conf lets burstd in, and that state.database is right"
)


@dataclass(frozen=True)
class StoreExamination:
    """``directory``: state.directory; ``url``: state.database, "" for a file in it."""

    directory: Path
    url: str
    mounts: Path = MOUNTS

    def __call__(self) -> Iterator[Finding]:
        """Everything that can be looked at."""
        try:
            found = self.directory.stat()
        except PermissionError as error:
            yield AREA.unknown("directory", f"{self.directory}: {error.strerror}", RIGHTS)
            return
        except OSError as error:
            seen = f"{self.directory}: {error.strerror}"
            fix = f"install -d -m 700 -o burstd -g burstd {self.directory}"
            yield AREA.failed("directory", seen, fix)
            return
        yield owned(AREA, self.directory, found, os.geteuid())
        disk = os.statvfs(self.directory)
        size = disk.f_blocks * disk.f_frsize
        yield room(AREA, str(self.directory), disk.f_bavail * disk.f_frsize, size)
        if self.url:
            yield self._schema(engine_at(self.url), SERVER)
        else:
            yield self._place()
            yield from self._file(self.directory / "ledger.db")

    def _place(self) -> Finding:
        kind = file_system(self.directory, self.mounts.read_text())
        trouble = f"{self.directory} lies on {kind}, where SQLite loses data"
        fix = "set state.directory to a local disk, or state.database to a PostgreSQL"
        wrong = trouble if kind in NETWORK else ""
        return AREA.judge("file system", wrong, f"local ({kind or 'unknown'})", fix)

    def _file(self, path: Path) -> Iterator[Finding]:
        try:
            path.stat()
        except PermissionError as error:
            yield AREA.unknown("ledger", f"{path}: {error.strerror}", RIGHTS)
            return
        except FileNotFoundError:
            yield AREA.ok("ledger", f"none yet; burstd makes {path} at its first start")
            return
        engine = create_engine(f"sqlite:///file:{quote(str(path))}?{_how(path)}&uri=true")
        whole = self._whole(engine, path)
        yield whole
        if whole.grade is Grade.OK:
            yield self._schema(engine, BROKEN)

    def _whole(self, engine: Engine, path: Path) -> Finding:
        end = time.monotonic() + TIME
        try:
            with engine.connect() as db:
                raw = db.connection.dbapi_connection
                if raw is not None:
                    raw.set_progress_handler(lambda: time.monotonic() > end, 10_000)
                told = [str(row[0]) for row in db.execute(text("pragma quick_check(3)"))]
        except DBAPIError as error:
            return unreadable(AREA, str(error.orig))
        finally:
            engine.dispose()
        size = path.stat().st_size
        trouble = "" if told == ["ok"] else f"{path} is damaged: {' / '.join(told)[:300]}"
        return AREA.judge("ledger", trouble, f"quick_check ok, {size} bytes", BROKEN)

    def _schema(self, engine: Engine, cure: str) -> Finding:
        try:
            with engine.connect() as db:
                stamped, known = versions(db)
        except DBAPIError as error:
            return AREA.failed("schema", _short(error), cure)
        finally:
            engine.dispose()
        return schema(AREA, stamped, known)


def _how(path: Path) -> str:
    """Read only. Beside a file with a write-ahead log even a reader makes files, which nothing
    would remove; where there is no log now nobody writes, and the file is whole by itself.

    sqlite.org, "fileformat.html" 1.3: byte 18 is 2 in this mode; "wal.html", Read-Only Databases.
    """
    with path.open("rb") as file:
        logged = file.read(19)[18:] == b"\2"
    return "immutable=1" if logged and not Path(f"{path}-wal").exists() else "mode=ro"


def owned(area: Area, directory: Path, found: os.stat_result, us: int) -> Finding:
    """Does it belong to burstd's account, and to nobody else?"""
    owner, mode = _name(found.st_uid), stat.S_IMODE(found.st_mode)
    seen = f"{directory} belongs to {owner}, mode {mode:04o}"
    if us not in (0, found.st_uid):
        fix = f"run burst doctor as burstd's account, or chown -R {_name(us)} {directory}"
        return area.failed("directory", f"{seen}; this is {_name(us)}", fix)
    trouble = seen if mode & 0o077 else ""
    return area.judge("directory", trouble, seen, f"chmod 700 {directory}")


def schema(area: Area, stamped: str | None, known: tuple[str, ...]) -> Finding:
    """``known``: what this burstd can read, the present one first."""
    if stamped == known[0]:
        return area.ok("schema", f"version {stamped}")
    if stamped is None:
        return area.ok("schema", "no tables yet; burstd makes them at its first start")
    if stamped in known:
        seen = f"version {stamped}, this burstd has {known[0]}"
        fix = "keep a copy of the ledger; burstd upgrades it at its next start, forward only"
        return area.warning("schema", seen, fix)
    fix = "start the burstd that wrote it, or a later one"
    return area.failed("schema", f"version {stamped}, this burstd knows up to {known[0]}", fix)


def unreadable(area: Area, complaint: str) -> Finding:
    """SQLite's own words for a ledger that it could not read through."""
    if "interrupted" in complaint:
        hint = f"it took longer than {TIME:g} s: sqlite3 ledger.db 'pragma quick_check'"
        return area.unknown("ledger", complaint, hint)
    if "locked" in complaint:
        return area.unknown("ledger", complaint, "burstd writes to it just now: run it again")
    if "unable to open" in complaint or "readonly" in complaint:
        hint = "a crash left it half written, which burstd repairs at its next start; or run this "
        return area.unknown("ledger", complaint, f"{hint}as burstd's account or as root")
    return area.failed("ledger", complaint, BROKEN)


def _short(error: DBAPIError) -> str:
    return " ".join(str(error.orig).split())[:300]


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
