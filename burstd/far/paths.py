"""Paths that came from the other end, and how to walk them without being led astray.

Nothing here follows a symbolic link: the kernel is told so for the whole way (openat2(2), Linux
5.6), or else every component is opened relative to the one before it.
A path is text on the wire (surrogateescape for names that are not UTF-8) and bytes on disk.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import stat
import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Optional

from burstd.far.errors import REFUSED, FarError

Parts = tuple[bytes, ...]

MAX_NAME = 255
MAX_PATH = 4096
_KEY = re.compile(r"[A-Za-z0-9._-]{1,128}")
_PLAIN = re.compile(rb"(?:/(?!\.\.?(?:/|\Z))[^/\0]{1,%d})+" % MAX_NAME, re.DOTALL)
_COMPONENT = re.compile(rb"(?!\.\.?\Z)[^/\0]{1,%d}" % MAX_NAME, re.DOTALL)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPENAT2 = 437  # the same number on all architectures that have it
#: struct open_how; RESOLVE_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH (linux/openat2.h).
_HOW = struct.pack("QQQ", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, 0, 0x02 | 0x04 | 0x08)
#: It is not there, something that watches over us forbids it, somebody has renamed a directory on
#: the way meanwhile, or the way is longer than one call takes.
_ELSEHOW = (errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.EAGAIN, errno.ENAMETOOLONG)


def to_bytes(text: str) -> bytes:
    """The bytes of a name that travelled as text; whatever the locale is."""
    return text.encode("utf-8", "surrogateescape")


def to_text(name: bytes) -> str:
    """A name as text that JSON can carry and `to_bytes` turns back."""
    return name.decode("utf-8", "surrogateescape")


def checked_key(key: str) -> str:
    """The key, if it can be a directory's name. Raises FarError(refused)."""
    if not _KEY.fullmatch(key) or key in (".", ".."):
        raise FarError(REFUSED, f"not a key: {key!r}")
    return key


def split(path: str) -> Parts:
    """The components of an absolute path in plain form. Raises FarError(refused)."""
    try:
        raw = to_bytes(path)
    except UnicodeEncodeError as error:
        raise FarError(REFUSED, f"not a file name: {path!r}") from error
    if not raw.startswith(b"/") or len(raw) >= MAX_PATH or b"\0" in raw:
        raise FarError(REFUSED, f"not an absolute path: {path!r:.200}")
    if not _PLAIN.fullmatch(raw):
        raise FarError(REFUSED, f"not a plain path: {path!r:.200}")
    return tuple(raw[1:].split(b"/"))


def above(path: str) -> str:
    """What stands before its last component, the slash with it."""
    return path[: path.rfind("/") + 1]


def component(name: str) -> bytes:
    """A single one, in plain form. Raises FarError(refused)."""
    try:
        raw = to_bytes(name)
    except UnicodeEncodeError as error:
        raise FarError(REFUSED, f"not a file name: {name!r}") from error
    if not _COMPONENT.fullmatch(raw):
        raise FarError(REFUSED, f"not a plain name: {name!r:.200}")
    return raw


def join(parts: Sequence[bytes]) -> str:
    """The opposite of `split`."""
    return to_text(b"/" + b"/".join(parts))


def beneath(path: str, tops: Sequence[str]) -> bool:
    """Whether a path is one of the given directories or lies in one."""
    return any(path == top or path.startswith(top + "/") for top in tops)


def open_beneath(root: int, parts: Sequence[bytes]) -> Optional[int]:
    """A descriptor of the directory root/parts in one call, wherever directories on the way are
    moved to meanwhile; None where the kernel can't. Raises OSError: ELOOP for a link."""
    path = b"/".join(parts)
    fd = int(_syscall()(_OPENAT2, root, path or b".", _HOW, len(_HOW)))
    if fd >= 0:
        return fd
    error = ctypes.get_errno()
    if error in _ELSEHOW:
        return None
    raise OSError(error, os.strerror(error), path)


@lru_cache(maxsize=1)
def _syscall() -> ctypes._NamedFuncPointer:
    found = ctypes.CDLL(None, use_errno=True).syscall
    found.restype = ctypes.c_long
    found.argtypes = (
        ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t,
    )  # fmt: skip
    return found


def open_directory(root: int, parts: Sequence[bytes], create: bool = False) -> int:
    """A descriptor of root/parts; missing directories are made (0700) if asked. Raises OSError."""
    with contextlib.suppress(FileNotFoundError) if create else contextlib.nullcontext():
        fd = open_beneath(root, parts)
        if fd is not None:
            return fd
    here = os.open(b".", _DIRECTORY, dir_fd=root)
    try:
        for part in parts:
            if create:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=here)
            below = os.open(part, _DIRECTORY, dir_fd=here)
            os.close(here)
            here = below
    except BaseException:
        os.close(here)
        raise
    return here


@contextlib.contextmanager
def directory(root: int, parts: Sequence[bytes], create: bool = False) -> Iterator[int]:
    """`open_directory` for a `with` block."""
    fd = open_directory(root, parts, create)
    try:
        yield fd
    finally:
        os.close(fd)


def open_regular(root: int, parts: Sequence[bytes], flags: int = os.O_RDONLY) -> int:
    """A descriptor of the regular file root/parts. A link, fifo or device raises OSError."""
    with directory(root, parts[:-1]) as parent:
        # O_NONBLOCK: a fifo that a job planted must not hang us.
        fd = os.open(
            parts[-1], flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600, dir_fd=parent
        )
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.ELOOP, "not a regular file", join(parts))
    return fd


def create(directory: int, name: bytes, flags: int) -> int:
    """A new file there, O_EXCL; its owner's, or a group's where the directory says so (set-group-ID
    and writable by the group: what is shared)."""
    flags |= os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, 0o600, dir_fd=directory)
    if is_shared(os.fstat(directory)):
        os.fchmod(fd, 0o660)
    return fd


def is_shared(fact: os.stat_result) -> bool:
    """Whether this is a directory of a group's."""
    return fact.st_mode & 0o2070 == 0o2070


def read_regular(root: int, name: bytes, limit: int) -> bytes:
    """The bytes of one small regular file; larger than `limit` is an OSError."""
    with os.fdopen(open_regular(root, (name,)), "rb") as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, "too large", to_text(name))
    return content


def open_up(parent: int, name: bytes) -> None:
    """Gives the owner all rights on a directory or reading rights on a file, never via a link."""
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        mode = os.fstat(fd).st_mode
        more = 0o700 if stat.S_ISDIR(mode) else 0o400
        if not stat.S_ISLNK(mode) and mode & more != more:
            os.chmod(f"/proc/self/fd/{fd}", stat.S_IMODE(mode) | more)
    finally:
        os.close(fd)


def remove(parent: int, name: bytes) -> None:
    """Removes what lies there; a directory with all that is in it. Raises
    FileNotFoundError where there is nothing."""
    try:
        os.unlink(name, dir_fd=parent)
    except IsADirectoryError:
        remove_tree(parent, name)


def remove_tree(parent: int, name: bytes) -> None:
    """Removes parent/name with all that is in it, links not followed; absent is fine.

    Directories are lifted up to the top before they are emptied, so that a job which nests ten
    thousand of them costs neither stack nor descriptors.
    """
    try:
        open_up(parent, name)
        top = os.open(name, _DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        return
    lifted = [b"."]
    serial = 0
    try:
        while lifted:
            current = lifted.pop()
            with directory(top, () if current == b"." else (current,)) as fd:
                for entry in list(os.scandir(fd)):
                    if not entry.is_dir(follow_symlinks=False):
                        os.unlink(os.fsencode(entry.name), dir_fd=fd)
                        continue
                    serial += 1
                    new = b".lifted-%d-%d" % (os.getpid(), serial)
                    open_up(fd, os.fsencode(entry.name))
                    os.rename(os.fsencode(entry.name), new, src_dir_fd=fd, dst_dir_fd=top)
                    lifted.append(new)
            if current != b".":
                os.rmdir(current, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)
