"""``burst cost``: showback, as a table, CSV or JSON."""

from __future__ import annotations

import csv
import sys
from typing import Annotated, Any

import typer

from burstd.cli.answers import Json, asked, print_json
from burstd.cli.client import OK

By = Annotated[
    str, typer.Option(help="Of account, user, application, target and month, joined by commas.")
]
Day = Annotated[str, typer.Option(help="First day, in UTC; this month's first if not given.")]
Until = Annotated[str, typer.Option(help="Day after the last; tomorrow if not given.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print the rows as CSV.")]


def cost(
    by: By = "account",
    since: Day = "",
    until: Until = "",
    as_csv: Csv = False,
    as_json: Json = False,
) -> None:
    """What bursts have cost; yours, or for operators everybody's. What began in the days asked for
    counts; "open" is the most that what is open may cost yet.

    Example: burst cost --by account,user --since 2026-11-01 --csv
    """
    found = asked("/v1/cost", by=by, since=since, until=until)
    if as_json:
        print_json(found)
    elif as_csv:
        _csv(found)
    else:
        _table(found)
    raise typer.Exit(OK)


_COLUMNS = ("bursts", "core_hours", "cost", "open", "currency")


def _csv(found: dict[str, Any]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*found["by"], *_COLUMNS])
    for row in found["rows"]:
        writer.writerow([row[k] for k in (*found["by"], *_COLUMNS)])


def _table(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    title = f"{found['since']} to before {found['until']}"
    table = Table(title=title, title_justify="left")
    for name in found["by"]:
        table.add_column(name)
    for name in _COLUMNS:
        table.add_column(name.replace("_", "-"), justify="left" if name == "currency" else "right")
    for row in found["rows"]:
        keys = (str(row[name]) for name in found["by"])
        amounts = row["cost"], row["open"], row["currency"]
        table.add_row(*keys, str(row["bursts"]), f"{row['core_hours']:.2f}", *amounts)
    Console().print(table)
