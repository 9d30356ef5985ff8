"""Application profiles: what burstd must know of a solver to send its jobs elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from burstd.domain.licences import Tokens


@dataclass(frozen=True)
class Application:
    """One profile. Patterns are regular expressions on the batch script, comments left out."""

    name: str
    image: str
    detect: tuple[str, ...]
    resolver: str = "all"  #: how inputs are found: ``calculix`` or ``all`` (the whole directory)
    live: tuple[str, ...] = ()  #: globs, relative to the working directory, copied while running
    scratch: tuple[str, ...] = ()  #: globs of what the job writes and nobody wants home
    #: Globs of results that stay at the target until somebody asks for them.
    on_demand: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()  #: globs of variables that go along
    licences: Mapping[str, Tokens] = field(default_factory=dict)  #: that one job checks out

    def matches(self, script: str) -> bool:
        """True if any line of ``script`` that is not a comment matches a pattern."""
        lines = "\n".join(ln for ln in script.splitlines() if not ln.lstrip().startswith("#"))
        return any(re.search(pattern, lines) for pattern in self.detect)
