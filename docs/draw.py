"""Draw ``docs/lifecycle.md``'s picture from the table itself: ``python -m docs.draw``."""

from __future__ import annotations

from pathlib import Path

from burstd.core.lifecycle import TRANSITIONS, History
from burstd.domain.burst import Stage

PAGE = Path(__file__).with_name("lifecycle.md")
BEGIN, END = "<!-- drawn from the table: begin -->", "<!-- end -->"


def drawing() -> str:
    """A mermaid state diagram: one arrow per pair of stages, labelled with its events."""
    lines = ["```mermaid", "stateDiagram-v2", f"  [*] --> {Stage.PLANNED.value}"]
    for stage, row in TRANSITIONS.items():
        arrows: dict[Stage | History, list[str]] = {}
        for event, target in row.items():
            arrows.setdefault(target, []).append(event.__name__)
        lines += [f"  {stage.value} --> {t.value}: {', '.join(e)}" for t, e in arrows.items()]
        if stage.final:
            lines.append(f"  {stage.value} --> [*]")
    return "\n".join([*lines, "```"])


def page(text: str) -> str:
    """The page with a fresh drawing between its marks."""
    head, _, rest = text.partition(BEGIN)
    return f"{head}{BEGIN}\n{drawing()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
