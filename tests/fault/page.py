"""docs/faults.md: its tables, written from the code and from the campaign's results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from burstd.testing.points import table
from tests.fault.campaign import Result

PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"


def between(text: str, name: str, lines: Iterator[str]) -> str:
    """The page with these lines between the marks of this name."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    body = "\n".join(lines)
    return f"{head}{begin}\n{body}\n{end}{tail}"


def scenes(results: Sequence[Result], before: Mapping[str, str]) -> Iterator[str]:
    """One row a scene; the runs in which burstd is killed are one, by what they have in common.
    What was not played this time has its row of ``before``."""
    yield "| scene | workload | verdict | seconds |"
    yield "|---|---|---|---|"
    rows = dict(before)
    kills = [result for result in results if result.scene.startswith("kill/")]
    if kills:
        well = sum(result.ok for result in kills)
        seconds = sum(result.seconds for result in kills)
        rows = {name: row for name, row in rows.items() if not name.startswith("kill, ")}
        name = f"kill, {len(kills)} runs"
        rows = {name: f"| {name} | {kills[0].workload} | {well} ok | {seconds:.0f} |", **rows}
    for one in results:
        if one not in kills:
            verdict = one.verdict.splitlines()[0].replace("|", "/")[:200]
            rows[one.scene] = f"| {one.scene} | {one.workload} | {verdict} | {one.seconds:.0f} |"
    yield from rows.values()


def rows_of(text: str) -> dict[str, str]:
    """The scenes' rows of the page as it is, by name."""
    _, _, rest = text.partition("<!-- scenes: begin -->")
    lines = rest.partition("<!-- scenes: end -->")[0].strip().splitlines()[2:]
    return {line.split("|")[1].strip(): line for line in lines}


def write(results: Sequence[Result]) -> None:
    """Both tables."""
    text = between(PAGE.read_text(), "points", table())
    PAGE.write_text(between(text, "scenes", scenes(results, rows_of(text))))
