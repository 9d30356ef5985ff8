"""What a batch script says about itself, read as text and never executed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from burstd.core.directives import directives
from burstd.domain.applications import Application
from burstd.domain.plan import ScriptFacts

_BURST_LINE = re.compile(r"^#BURST[^\S\n]+(.*)$", re.MULTILINE)
#: What is meant as one, and is none: it is heard as a word that nobody can read.
_NEARLY = re.compile(r"^[^\S\n]*(#BURST\b.*)$", re.MULTILINE | re.IGNORECASE)


def facts(script: str | None, applications: Iterable[Application]) -> ScriptFacts:
    """Recognise the application, and read the ``#BURST`` lines. ``None``: the job has no script."""
    if script is None:
        return ScriptFacts(present=False)
    asked = directives(_words(script))
    known = {app.name: app for app in applications}
    if asked.application:
        found = asked.application if asked.application in known else None
    else:
        found = next((app.name for app in known.values() if app.matches(script)), None)
    licences = known[found].licences if found else {}
    return ScriptFacts(present=True, application=found, asked=asked, licences=licences)


def _words(script: str) -> Iterator[str]:
    for near in _NEARLY.finditer(script):
        exact = _BURST_LINE.match(near[0])
        if exact is not None:
            yield from exact[1].split()
        elif near[1].strip() != "#BURST":
            yield near[1].strip()
