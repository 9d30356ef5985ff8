"""The way to a file that a far end has named: below the job's directory, never through a link.

Directories are held open and every name is used relative to them. The kernel follows no link on the
way and does not leave the root (openat2(2)); where it can't be told so, each component is opened
with O_NOFOLLOW. So nobody can turn a path aside meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Container, Iterable
from pathlib import Path, PurePosixPath

from burstd.far.paths import open_beneath, open_up

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: What a shell, a daemon or a program would run or believe; a job that writes these gets a copy
#: beside it. In small letters: file systems that know no others take one for the other.
_NEVER = frozenset(
    {
        ".ssh", ".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases",
        ".profile", ".shrc", ".zshrc", ".zshenv", ".zprofile", ".zlogin", ".zlogout", ".login",
        ".logout", ".cshrc", ".tcshrc", ".kshrc", ".rhosts", ".shosts", ".forward", ".procmailrc",
        ".netrc", ".k5login", ".k5users", ".k5identity", ".pam_environment", ".config", ".local",
        ".gnupg", ".aws", ".kube", ".docker", ".git", ".gitconfig", ".hg", ".hgrc", ".vimrc",
        ".vim", ".gvimrc", ".exrc", ".nexrc", ".emacs", ".emacs.d", ".gdbinit", ".screenrc",
        ".tmux.conf", ".inputrc", ".envrc", ".ipython", ".jupyter", ".rprofile", ".mailcap",
        ".xauthority", ".xinitrc", ".xprofile", ".xsession", ".xsessionrc", ".xserverrc",
    }
)  # fmt: skip

#: What results are called until they are whole: of other jobs in the same directory, or left by one
#: that was given up.
UNFINISHED = re.compile(r"\.burst-.+-[0-9a-f]{16}", re.DOTALL)
LONGEST_NAME = 255  #: bytes
#: Directories below a root, and bytes: what lies deeper its user could hardly remove.
DEEPEST, LONGEST_PATH = 200, 4000


#: What file systems say of names that they have none of: bytes that are no UTF-8, a colon on CIFS,
#: more than 143 bytes where names are encrypted.
NO_NAME = frozenset({errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG})


class Refused(Exception):
    """This entry may not be landed under its name."""


class Misplaced(Refused):
    """Not where one name on the way is as it is, ``at`` of its parts; with another one it may."""

    def __init__(self, why: str, at: int) -> None:
        super().__init__(why)
        self.at = at


def inside(path: str, roots: Iterable[Path]) -> tuple[Path, tuple[str, ...]]:
    """The root that a path of the far end's lies below, and the way down from there.

    Raises ``Refused`` where nothing of the far end's may be written.
    """
    root, parts = below(path, roots)
    believed(parts)
    return root, parts


def believed(parts: Iterable[str]) -> None:
    """Raises ``Misplaced`` where a name on the way is one that never comes from elsewhere."""
    for at, part in enumerate(parts):
        if part.lower() in _NEVER:
            raise Misplaced(f"{part} is never written from elsewhere", at)


def below(path: str, roots: Iterable[Path]) -> tuple[Path, tuple[str, ...]]:
    """The same of names that may have to be others. Raises ``Refused``."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise Refused("its name is no text of names") from error
    pure = PurePosixPath(path)
    if not pure.is_absolute() or ".." in pure.parts or "\0" in path:
        raise Refused("its name is not an absolute path")
    for root in roots:
        if PurePosixPath(root) in pure.parents:
            parts = pure.relative_to(root).parts
            if any(len(os.fsencode(part)) > LONGEST_NAME for part in parts):
                raise Refused("its name is too long")
            if len(parts) > DEEPEST or len(os.fsencode(path)) > LONGEST_PATH:
                raise Refused("it lies too deep")
            return root, parts
    raise Refused("it is outside the job's directory")


def beneath(target: str) -> str:
    """A link's text, if it leads below the directory that the link lies in, and to nothing that
    would be believed. Raises ``Refused``."""
    pure = PurePosixPath(target)
    if not target or pure.is_absolute() or ".." in pure.parts or "\0" in target:
        raise Refused("it is a link that may lead elsewhere")
    if set(map(str.lower, pure.parts)) & _NEVER or len(os.fsencode(target)) > LONGEST_PATH:
        raise Refused("it is a link to what is never written from elsewhere")
    return target


def descend(
    root: Path,
    parts: tuple[str, ...],
    *,
    make: bool = True,
    synced: set[Path] | None = None,
    fresh: set[Path] | None = None,
) -> int:
    """A descriptor of the directory ``root/parts``, made where missing; the caller closes it.

    With ``synced`` every name on the way that is not in it is synced and added, with ``fresh`` each
    that is made is added. Raises ``Misplaced`` where the way leads through a link or a file.
    """
    current, way = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), root
    if synced is None or root.joinpath(*parts) in synced:  # then it is there
        found = _at_once(current, parts)
        if found is not None:
            os.close(current)
            return found
    for at, part in enumerate(parts):
        way /= part
        try:
            try:
                following = os.open(part, _DIRECTORY, dir_fd=current)
            except FileNotFoundError:
                if not make:
                    raise
                with contextlib.suppress(FileExistsError):  # another file's landing was first
                    os.mkdir(part, 0o777, dir_fd=current)
                    if fresh is not None:
                        fresh.add(way)
                following = os.open(part, _DIRECTORY, dir_fd=current)
            if synced is not None and way not in synced:
                _sync(current, following)
                synced.add(way)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise Misplaced(f"{part} is a link or a file on-prem", at) from error
            raise
        finally:
            os.close(current)
        current = following
    return current


def unlock(root: Path, parts: Iterable[str], ours: Container[str]) -> bool:
    """All rights for their owner on those directories on the way that are ours; whether any had
    lacked some. Raises ``OSError``."""
    current, way, lacked = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), root, False
    try:
        for part in parts:
            way /= part
            if str(way) in ours:
                before = os.stat(part, dir_fd=current, follow_symlinks=False).st_mode
                open_up(current, os.fsencode(part))
                lacked = lacked or before & stat.S_IRWXU != stat.S_IRWXU
            following = os.open(part, _DIRECTORY, dir_fd=current)
            os.close(current)
            current = following
    except FileNotFoundError:  # nothing hinders below
        return lacked
    finally:
        os.close(current)
    return lacked


def _at_once(root: int, parts: tuple[str, ...]) -> int | None:
    """Nothing where something is in the way: step by step it shows what."""
    try:
        return open_beneath(root, [os.fsencode(part) for part in parts])
    except OSError:
        return None


def _sync(directory: int, following: int) -> None:
    """The directory's names to disk; where that fails, nobody closes ``following`` but we."""
    try:
        os.fsync(directory)
    except OSError:
        os.close(following)
        raise
