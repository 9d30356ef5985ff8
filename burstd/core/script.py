"""What a batch script says about itself, read as text and never executed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from burstd.domain.applications import Application
from burstd.domain.plan import ScriptFacts

_BURST_LINE = re.compile(r"^#BURST\s+(.*)$", re.MULTILINE)


def facts(script: str | None, applications: Iterable[Application]) -> ScriptFacts:
    """Recognise the application and the user's wishes. ``None``: the job has no script.

    ``#BURST app=NAME`` names the application outright; ``#BURST mode=never`` keeps the job here;
    ``#BURST class=NAME`` says that its data are of that class too.
    ``#BURST licences=NAME:COUNT,...`` says what it checks out at least.
    """
    if script is None:
        return ScriptFacts(present=False)
    words = [word for line in _BURST_LINE.findall(script) for word in line.split()]
    known = {app.name: app for app in applications}
    named = next((word[4:] for word in words if word.startswith("app=")), None)
    if named is not None:
        found = named if named in known else None
    else:
        found = next((app.name for app in known.values() if app.matches(script)), None)
    classes = tuple(dict.fromkeys(word[6:] for word in words if word.startswith("class=")))
    return ScriptFacts(
        present=True,
        application=found,
        never="mode=never" in words,
        classes=classes,
        licences=known[found].licences if found else {},
        named=",".join(word[9:] for word in words if word.startswith("licences=")),
    )
