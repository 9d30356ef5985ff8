"""A private directory of one process on one node: mount point, /tmp of the container, scraps."""

from __future__ import annotations

import contextlib
import os
import tempfile

from burstd.far import images, paths

PREFIX = "burst-"


def make_work(parent: str) -> str:
    """A new directory (0700). Raises OSError."""
    return tempfile.mkdtemp(prefix=PREFIX, dir=parent)


def remove_work(work: str) -> None:
    """Unmounts what is mounted in it and removes it. What cannot be removed is left."""
    images.unmount(os.path.join(work, "root"))
    parent = os.open(os.path.dirname(work), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            paths.remove_tree(parent, os.fsencode(os.path.basename(work)))
    finally:
        os.close(parent)
