"""What a batch script says about itself, read as text and never executed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from burstd.domain.applications import Application
from burstd.domain.plan import ScriptFacts

_BURST_LINE = re.compile(r"^#BURST\s+(.*)$", re.MULTILINE)


def facts(script: str | None, applications: Iterable[Application]) -> ScriptFacts:
    """Recognise the application and the user's wishes. ``None``: the job has no script."""
    if script is None:
        return ScriptFacts(present=False)
    words = [word for line in _BURST_LINE.findall(script) for word in line.split()]
    found = next((app.name for app in applications if app.matches(script)), None)
    return ScriptFacts(present=True, application=found, never="mode=never" in words)
