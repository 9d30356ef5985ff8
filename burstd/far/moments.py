"""Times that both ends can have."""

from __future__ import annotations

import os

_LEAST, _MOST = -(2**63), 2**63 - 1


def changed(fact: os.stat_result) -> int:
    """Of a file's last change, in nanoseconds since 1970. It may claim any; what lies before 1677
    or beyond 2262 is as early, or as late, as can be."""
    return min(max(fact.st_mtime_ns, _LEAST), _MOST)
