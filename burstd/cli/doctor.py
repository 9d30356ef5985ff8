"""``burst doctor``: is this installation fit to burst? Asks everybody but the daemon."""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from burstd.cli.answers import Json, lines, print_json
from burstd.cli.client import ERROR, OK, USAGE
from burstd.cli.daemon import DEFAULT, ConfigOption
from burstd.domain.findings import Finding, Grade
from burstd.ports.errors import PortError

if TYPE_CHECKING:
    from burstd.app import Settings

OpenLinks = Annotated[
    bool,
    typer.Option("--open-links", help="Bring links that are down up meanwhile; burstd must rest."),
]
_WORDS = {
    Grade.OK: "ok",
    Grade.WARNING: "warning",
    Grade.FAILED: "FAILED",
    Grade.UNKNOWN: "unknown",
}


def doctor(
    config: ConfigOption = DEFAULT, open_links: OpenLinks = False, as_json: Json = False
) -> None:
    """Examine the installation: Slurm, plugin, clocks, link, target, disks, ledger; with fixes.

    Needs no burstd; run it as burstd's account or as root. It changes nothing.
    Exit codes: 0 nothing failed, 1 something failed, 2 wrong usage or configuration.

    Example: burst doctor --open-links
    """
    settings = _settings(config)
    from burstd.cli.examination import Doctor, findings

    with tempfile.TemporaryDirectory(prefix="burst-", ignore_cleanup_errors=True) as home:
        examined = Doctor(settings, Path(home), open_links)
        try:
            told = findings(examined.parts())
            found = list(told if as_json else shown(told))
        finally:
            # Whoever interrupts this gets the links as they were, or burstd lowers them later.
            with contextlib.suppress(PortError):
                examined.close()
    counts = Counter(finding.grade for finding in found)
    if as_json:
        rows = [{**asdict(finding), "grade": finding.grade.value} for finding in found]
        print_json({**{grade.value: counts[grade] for grade in Grade}, "findings": rows})
    else:
        lines(["", ", ".join(f"{counts[grade]} {grade.value}" for grade in Grade)])
    raise typer.Exit(ERROR if counts[Grade.FAILED] else OK)


def shown(found: Iterable[Finding]) -> Iterable[Finding]:
    """Print each as it comes, below its area."""
    area = ""
    for finding in found:
        if finding.area != area:
            typer.echo(finding.area)
            area = finding.area
        lines(text(finding))
        yield finding


def text(finding: Finding) -> list[str]:
    """One line, and one for the fix where there is something to do."""
    said = [f"  {_WORDS[finding.grade]:<8} {finding.check}: {finding.seen}"]
    return said + ([f"{'':11}fix: {finding.fix}"] if finding.fix else [])


def _settings(path: Path) -> Settings:
    from burstd.app import settings_in
    from burstd.config.read import ConfigError

    try:
        return settings_in(path)
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        count = len(error.problems)
        typer.echo(
            f"burst: {count} problems in the configuration; nothing was examined. "
            f"Correct {path}, then run burst doctor again",
            err=True,
        )
        raise typer.Exit(USAGE) from None
