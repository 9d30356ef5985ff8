"""What can go wrong between the two ends, in a few words that both of them know."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

REFUSED = "refused"  # a bad path or a bad request: the same again will be refused again
FULL = "full"  # no room or no quota: the same again may work later
MISSING = "missing"  # not there (yet)
NEVER_STARTED = "never_started"  # of this burst nothing has ever run here
MISMATCH = "mismatch"  # the bytes are not the ones that were promised
BUSY = "busy"  # somebody is at it: the same again will work soon
BROKEN = "broken"  # anything else: a fault of ours or of the file system

_CODES = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.ENOENT: MISSING,
    errno.ELOOP: REFUSED,
    errno.ENOTDIR: REFUSED,
    errno.EISDIR: REFUSED,
    errno.ENAMETOOLONG: REFUSED,
    errno.EACCES: REFUSED,
    errno.EPERM: REFUSED,
}

#: Bytes, or names, that a disk has not kept, or no more in their form.
LOST = (errno.EIO, errno.EBADMSG, errno.EUCLEAN)


class FarError(Exception):
    """An answer of the far end that is not the wished one: a code of this module and words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class BucketError(FarError):
    """A bucket's refusal, or its silence."""


class FarLost(Exception):
    """The other end is gone in the middle of a conversation. What it last did is unknown."""


def from_os(error: OSError) -> FarError:
    """The file system's refusal as an answer of the protocol."""
    code = _CODES.get(error.errno or 0, BROKEN)
    name = error.filename
    if isinstance(name, bytes):
        name = name.decode("utf-8", "backslashreplace")
    words = error.strerror or str(error)
    return FarError(code, words if name is None else f"{words}: {name}")


@contextmanager
def answered() -> Iterator[None]:
    """What the file system refuses is an answer. Who may do nothing in his own directories may do
    so again later: a ticket of Kerberos has expired."""
    try:
        yield
    except PermissionError as error:
        raise FarError(BROKEN, from_os(error).message) from error
    except OSError as error:
        raise from_os(error) from error
