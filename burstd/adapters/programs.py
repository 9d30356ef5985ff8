"""How burstd starts other programs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence


def found(argv: Sequence[str], path: str | None = None) -> list[str]:
    """The same with the program's whole path, where there is such a program on this ``PATH``.

    With it, and with ``close_fds=False`` (Python's own descriptors are not inherited: PEP 446),
    ``subprocess`` calls posix_spawn(3). Otherwise it calls vfork, and its child, which shares our
    memory, takes a lock in it on glibc 2.41 (``abort.c``, through ``sigaction``). If burstd is
    killed at that moment, such children block each other for ever, and hold on to what was open.
    """
    whole = shutil.which(argv[0], path=path)
    return [whole or argv[0], *argv[1:]]
