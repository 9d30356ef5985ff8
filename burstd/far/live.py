"""The files that a user watches while the job runs: globs beneath the job's directory."""

from __future__ import annotations

import fnmatch
import json
import os
import stat
from collections.abc import Sequence
from typing import Optional

from burstd.far import paths
from burstd.far.errors import FarError
from burstd.far.moments import changed

MOST = 8 * 1024 * 1024  #: bytes of a list of files in an answer
_WORDS = 90  #: bytes around a path in it


_MAGIC = frozenset(b"*?[")


def matching(
    tree: int, cwd: str, patterns: Sequence[str], *, deep: bool = False
) -> dict[str, os.stat_result]:
    """Every regular file that matches one, by its path; links are not followed. ``deep``: a
    directory that is named as it is stands for all that lies below it."""
    found: dict[str, os.stat_result] = {}
    base = paths.split(cwd)
    for pattern in patterns:
        globs = paths.split("/" + pattern)
        below = deep and _MAGIC.isdisjoint(globs[-1])
        for parts in _match(tree, base, globs):
            _look(tree, parts, found, below)
    return dict(sorted(found.items()))


def sizes(tree: int, cwd: str, patterns: Sequence[str]) -> list[dict[str, object]]:
    """Path, size and mtime of the same, the first of them if they are too many for one answer: the
    others come home at the end."""
    found, room = list[dict[str, object]](), MOST
    for path, fact in matching(tree, cwd, patterns).items():
        room -= _WORDS + len(json.dumps(path))
        if room < 0:
            break
        found.append({"path": path, "size": fact.st_size, "mtime_ns": changed(fact)})
    return found


def _match(tree: int, base: paths.Parts, pattern: paths.Parts) -> list[paths.Parts]:
    heads = [base]
    for glob in pattern:
        if _MAGIC.isdisjoint(glob):  # one file is asked for in a directory of a hundred thousand
            heads = [(*head, glob) for head in heads]
            continue
        heads = [
            (*head, name)
            for head in heads
            for name in _names(tree, head)
            if fnmatch.fnmatchcase(name, glob)
        ]
    return heads


def _names(tree: int, parts: paths.Parts) -> list[bytes]:
    try:
        with paths.directory(tree, parts) as fd:
            return [os.fsencode(name) for name in os.listdir(fd)]
    except OSError:  # gone meanwhile, or not a directory: nothing to watch there
        return []


def _look(tree: int, parts: paths.Parts, found: dict[str, os.stat_result], deep: bool) -> None:
    try:
        with paths.directory(tree, parts[:-1]) as parent:
            fact = os.stat(parts[-1], dir_fd=parent, follow_symlinks=False)
    except OSError:
        return
    if stat.S_ISREG(fact.st_mode):
        found[paths.join(parts)] = fact
    elif deep and stat.S_ISDIR(fact.st_mode):
        for name in _names(tree, parts):
            _look(tree, (*parts, name), found, deep)


def whole(tree: int, path: str, most: int) -> Optional[bytes]:
    """The bytes of a file, if it has so many at most and can be read at once."""
    try:
        fd = paths.open_regular(tree, paths.split(path))
        try:
            content = os.pread(fd, most + 1, 0) if os.fstat(fd).st_size <= most else b""
            return content if len(content) == os.fstat(fd).st_size else None
        finally:
            os.close(fd)
    except (OSError, FarError):
        return None


def size(parent: int, name: bytes) -> Optional[int]:
    """The bytes of a regular file."""
    try:
        fact = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return fact.st_size if stat.S_ISREG(fact.st_mode) else None
