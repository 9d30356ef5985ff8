"""``burst why``: the chain of rules as plain lines, for terminals of any width and for grep."""

from __future__ import annotations

from typing import Any

from burstd.cli.answers import lines


def show_why(found: dict[str, Any]) -> None:
    """What stands in the way first told in short, then every rule with its numbers and place."""
    lines(found["why"])
    for group in found["groups"]:
        word = "leaves" if group["leaves"] else "stays"
        lines([f"now {word}, {_jobs(group['jobs'])}: {group['text']}"])
        if group["cure"] and not _told_below(group["text"], found["steps"]):
            lines([f"{'':19}-> {group['cure']}"])
    if found.get("left_at"):
        lines([f"{found['left_at']}  when it left:"])
    if found.get("decided_at"):
        lines([f"{found['decided_at']}  when this was decided:"])
    lines([text for step in found["steps"] for text in _step(step)])


def _told_below(text: str, steps: list[dict[str, Any]]) -> bool:
    """A rule that says the same says what would have to change, too."""
    return any(not step["holds"] and text.startswith(step["text"]) for step in steps)


def _jobs(keys: list[str]) -> str:
    return keys[0] if len(keys) == 1 else f"{keys[0]} and {len(keys) - 1} more"


def _step(step: dict[str, Any]) -> list[str]:
    mark = "ok " if step["holds"] else "NO "
    numbers = ", ".join(f"{name} {value}" for name, value in step["numbers"].items())
    text = numbers if step["holds"] else step["text"] + (f" ({numbers})" if numbers else "")
    place = step["place"] or ("default" if step["setting"] else "")
    setting = f"  [{step['setting']}, {place}]" if step["setting"] else ""
    told = [f"  {mark} {step['rule']:<12} {text}{setting}"]
    if not step["holds"] and step["cure"]:
        told.append(f"{'':19}-> {step['cure']}")
    return told
