"""What a batch script says about itself, read as text and never executed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from burstd.core.directives import directives
from burstd.domain.applications import Application
from burstd.domain.plan import ScriptFacts

_BURST_LINE = re.compile(r"^#BURST[^\S\n]+(.*)$", re.MULTILINE)


def facts(script: str | None, applications: Iterable[Application]) -> ScriptFacts:
    """Recognise the application, and read the ``#BURST`` lines. ``None``: the job has no script."""
    if script is None:
        return ScriptFacts(present=False)
    asked = directives(word for line in _BURST_LINE.findall(script) for word in line.split())
    known = {app.name: app for app in applications}
    if asked.application:
        found = asked.application if asked.application in known else None
    else:
        found = next((app.name for app in known.values() if app.matches(script)), None)
    licences = known[found].licences if found else {}
    return ScriptFacts(present=True, application=found, asked=asked, licences=licences)
