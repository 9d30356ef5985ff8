"""What all of ``burst``'s commands share: options, and how an answer is shown."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NoReturn
from urllib.parse import urlencode

import typer

from burstd.cli.client import OK, Answerless, ask

Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Job = Annotated[str, typer.Argument(help="Job id: 123 or 123_4; or a burst's id.")]
Why = Annotated[str, typer.Option("--why", help="For those who wonder, and for the audit log.")]
Show = Callable[[dict[str, Any]], None]


def asked(route: str, method: str = "GET", body: object = None, **query: str) -> dict[str, Any]:
    """The answer; where there is none the command ends and says why."""
    try:
        return ask(f"{route}?{urlencode(query)}" if query else route, method, body)
    except Answerless as error:
        fail(str(error), error.code)


def answer(route: str, as_json: bool, show: Show, method: str = "GET", **query: str) -> None:
    """Ask, and show what comes."""
    found = asked(route, method, **query)
    if as_json:
        print_json(found)
    else:
        show(plain(found))
    raise typer.Exit(OK)


def plain(found: Any) -> Any:
    """The same for a terminal: names, comments and #BURST words are other people's, and must not
    speak to it. JSON escapes them by itself."""
    if isinstance(found, str):
        return "".join(c if c.isprintable() or c == "\n" else "?" for c in found)
    if isinstance(found, list):
        return [plain(one) for one in found]
    if isinstance(found, dict):
        return {name: plain(one) for name, one in found.items()}
    return found


def print_json(found: dict[str, Any]) -> None:
    """For programs."""
    json.dump(found, sys.stdout, indent=2)
    sys.stdout.write("\n")


def fail(text: str, code: int) -> NoReturn:
    """End the command."""
    typer.echo(f"burst: {text}", err=True)
    raise typer.Exit(code) from None


def lines(texts: Sequence[str]) -> None:
    """One below the other."""
    for text in texts:
        typer.echo(text)
