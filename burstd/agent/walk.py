"""What lies below a directory, as a hundred thousand files want to be looked at: a string each, and
as few system calls as can be."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

_SYSTEM = frozenset(
    {"bin", "boot", "dev", "etc", "lib", "lib64", "proc", "run", "sbin", "sys", "usr", "var"}
)


def of_the_system(path: str) -> bool:
    """Of an absolute path: programs and libraries come from the image."""
    return path.split("/", 2)[1] in _SYSTEM


def files_below(top: str, links: bool = True) -> Iterator[os.DirEntry[str]]:
    """All that is no directory, nor a link to one: with ``links`` what lies there is below, too,
    each once on any way down. What can't be listed has none."""
    waiting = [(top, frozenset([os.path.realpath(top)]))]
    while waiting:
        directory, above = waiting.pop()
        for entry in _listed(directory):
            if not _is_directory(entry):
                yield entry
            elif not entry.is_symlink():
                waiting.append((entry.path, above))
            elif links:
                real = os.path.realpath(entry.path)
                if not (_leads_back(real, directory, above) or of_the_system(real)):
                    waiting.append((entry.path, above | {real}))


def _listed(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as found:
            return list(found)
    except OSError:
        return []


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _leads_back(real: str, directory: str, above: frozenset[str]) -> bool:
    """A link to where we are, or have been on our way."""
    return real in above or f"{os.path.realpath(directory)}/".startswith(f"{real.rstrip('/')}/")


def directories_of(paths: Iterable[str]) -> set[str]:
    """All directories that these lie in, up to the root."""
    found = {"/"}
    for path in paths:
        above = path.rpartition("/")[0]
        while above and above not in found:
            found.add(above)
            above = above.rpartition("/")[0]
    return found


class Real:
    """Where paths lead, as ``os.path.realpath`` has it; each directory is looked at once."""

    def __init__(self) -> None:
        self._directories: dict[str, str] = {}

    def path(self, path: str) -> str:
        """Of an absolute path that exists."""
        above, _, name = path.rpartition("/")
        real = self._directories.get(above)
        if real is None:
            real = self._directories[above] = os.path.realpath(above or "/").rstrip("/")
        there = f"{real}/{name}"
        return os.path.realpath(there) if os.path.islink(there) else there  # noqa: PTH114
