"""Rings of garbage are looked for seldom: what is known of many files has none, and is looked
through each time, which takes a tenth of all that is done for small files."""

from __future__ import annotations

import gc


def seldom() -> None:
    """For a process that moves files and ends. There may be some 10 MB more of garbage then."""
    gc.set_threshold(100_000, 20, 20)
