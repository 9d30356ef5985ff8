"""Names in a directory that is held open: what is there, and how a result takes its place."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from burstd.agent.ways import LONGEST_NAME
from burstd.domain.data import OutputFile
from burstd.far import chunks
from burstd.far.paths import open_up

BLOCK = 2**20
#: A fifo that somebody has put there must not hang us.
LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_AGAIN = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: link(2) where the file system has none: CIFS, and many in user space.
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})


def look(directory: int, name: str) -> os.stat_result | None:
    """What has the name; a link itself."""
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def begun(directory: int, temporary: str) -> int:
    """The file of an interrupted landing of ours, or a new one; locked. One that is not ours alone
    is not written to: it has another name too, somebody else has put it there, or another agent of
    this burst, that was thought dead, still writes to it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(temporary, _AGAIN, dir_fd=directory)
        seen = os.fstat(descriptor)
        ours = stat.S_ISREG(seen.st_mode) and (seen.st_nlink, seen.st_uid) == (1, os.geteuid())
        if ours and _lock(descriptor):
            return descriptor
        os.close(descriptor)
    discard(directory, temporary)
    descriptor = os.open(temporary, _NEW, 0o600, dir_fd=directory)
    _lock(descriptor)
    return descriptor


def _lock(descriptor: int) -> bool:
    """False if another has it, or where there are no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def similar(directory: int, name: str) -> Iterator[int | None]:
    """What has the result's name: an input that the job went on writing, or a live copy."""
    try:
        descriptor = os.open(name, LOOK, dir_fd=directory)
    except OSError:
        yield None
        return
    try:
        yield descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    finally:
        os.close(descriptor)


def digest_of(name: str, directory: int | None = None) -> str:
    """BLAKE3 of a regular file, never through a link. Raises ``OSError``."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        return chunks.digest_of(descriptor)
    finally:
        os.close(descriptor)


def landed(directory: int, name: str, entry: OutputFile) -> bool:
    """True where the name has the result already, of an interrupted landing or a live copy, whose
    mode, time and name are on disk now. Raises ``OSError``."""
    seen = look(directory, name)
    if (
        seen is None
        or not entry.blake3
        or not stat.S_ISREG(seen.st_mode)
        or seen.st_size != entry.size
    ):
        return False
    own = seen.st_uid == os.geteuid()
    if own:  # a result that its owner may not read has its own mode again in the end
        open_up(directory, os.fsencode(name))
    try:
        descriptor = os.open(name, LOOK, dir_fd=directory)
    except PermissionError:  # somebody else's
        return False
    try:
        same = os.fstat(descriptor).st_ino == seen.st_ino
        if not same or chunks.digest_of(descriptor) != entry.blake3:
            if own:
                os.fchmod(descriptor, stat.S_IMODE(seen.st_mode))
            return False
        finish(descriptor, entry)
    finally:
        os.close(descriptor)
    os.fsync(directory)
    return True


def continues(directory: int, name: str, result: str) -> bool:
    """True if the result begins with all bytes of the file: a live copy that nobody remembers
    (the proxy node went away). Replacing it loses nothing."""
    try:
        descriptor = os.open(name, LOOK, dir_fd=directory)
    except OSError:
        return False
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return False
    with (
        os.fdopen(descriptor, "rb") as old,
        os.fdopen(os.open(result, LOOK, dir_fd=directory), "rb") as new,
    ):
        while block := old.read(BLOCK):
            if new.read(len(block)) != block:
                return False
    return True


def named(directory: int, temporary: str, name: str) -> bool:
    """Give a file this name in place of its own, unless something has it: then False."""
    try:
        os.link(
            temporary, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False
        )  # fmt: skip
    except FileExistsError:
        # NFS tells so of a link that it has made, where its first answer was lost.
        mine, seen = look(directory, temporary), look(directory, name)
        if mine is None or seen is None or not os.path.samestat(mine, seen):
            return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        try:
            os.close(os.open(name, _NEW, 0o600, dir_fd=directory))
        except FileExistsError:
            return False
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    discard(directory, temporary)
    os.fsync(directory)
    return True


def named_beside(directory: int, temporary: str, name: str, ending: str) -> str:
    """Give a file a name beside ``name``, never one that another file has: the user may have
    written into an earlier one. An earlier one that it continues it replaces. The name."""
    for number in itertools.count(1):
        copy = beside(name, ending if number == 1 else f"{ending}.{number}")
        if named(directory, temporary, copy):
            break
        if continues(directory, copy, temporary):
            os.rename(temporary, copy, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)
            break
    return copy


def beside(name: str, ending: str) -> str:
    """``name`` and ``ending``, within what a directory takes, and another one for each name."""
    raw, room = os.fsencode(name), LONGEST_NAME - len(os.fsencode(ending))
    if len(raw) > room:
        short = hashlib.sha256(raw).hexdigest()[:8]
        name = os.fsdecode(raw[: room - 9]) + "-" + short
    return name + ending


def finish(descriptor: int, entry: OutputFile) -> None:
    """Mode and time first: what is set after a sync is not synced. A file of somebody else's that
    is the result keeps its own."""
    with contextlib.suppress(PermissionError):
        os.fchmod(descriptor, entry.mode & 0o777)
        with contextlib.suppress(OverflowError):  # a time beyond all times
            os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
    os.fsync(descriptor)


def permit(directory: int, mode: int, *, fresh: bool) -> None:
    """An open directory gets the mode of the job's. ``fresh``: we have just made it. One that was
    there may be the user's own: an earlier landing has given it that mode already, but for its
    owner's rights, or has left it as any new one is; then it is opened to nobody else."""
    seen = stat.S_IMODE(os.fstat(directory).st_mode)
    kept = seen & stat.S_ISGID  # from the directory above
    before = seen & ~kept
    if not fresh and before != mode | stat.S_IRWXU:
        mode = before & (mode | stat.S_IRWXU) if before == 0o777 & ~_umask() else before
    with contextlib.suppress(PermissionError):  # somebody else's
        os.fchmod(directory, mode | kept)


def _umask() -> int:
    """Ours, of proc(5): umask(2) tells it only by changing it, and other threads make files."""
    status = Path("/proc/self/status").read_text(errors="replace").splitlines()
    told = (line.split()[1] for line in status if line.startswith("Umask:"))
    return int(next(told, "022"), 8)  # Linux tells it from 4.7 on


def discard(directory: int, name: str) -> None:
    """Remove a name; none is well."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
