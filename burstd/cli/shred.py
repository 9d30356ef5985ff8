"""``burst shred``: nobody can read any more what lies in a bucket, and the site says so."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from burstd.cli.answers import Json, Why, answer, asked, fail, lines, plain, print_json
from burstd.cli.client import NEGATIVE, OK, USAGE

JobOrNone = Annotated[str, typer.Argument(help="Job id, or a burst's id.")]
User = Annotated[str, typer.Option("--user", help="What was sealed with this user's key.")]
Account = Annotated[str, typer.Option("--account", help="What was sealed with this account's key.")]
List = Annotated[bool, typer.Option("--list", help="Only show whose files lie in which bucket.")]


def shred(
    job: JobOrNone = "",
    user: User = "",
    account: Account = "",
    show: List = False,
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Destroy the key of what lies in a bucket, then the objects, and print a signed certificate.

    What a burst of its own key has left there is shredded by itself once the burst is over: then
    this prints that certificate. It is in the audit log too; burst audit verify checks it. For
    operators.

    Example: burst shred --account crash --why "project closed" --json > certificate.json
    """
    if show:
        answer("/v1/keys", as_json, _show_keys)
    whose = {name: value for name, value in (("user", user), ("account", account)) if value}
    if len(whose) + bool(job) != 1:
        fail("one of JOB, --user and --account", USAGE)
    route = f"/v1/jobs/{job}/shred" if job else "/v1/keys/shred"
    found = asked(route, "POST", why=why, **whose)
    if as_json:
        print_json(found)
    else:
        _show(plain(found))
    if found["left"]:
        cause = plain(found["left"][0]["cause"])
        fail(f"the key is destroyed, its objects are still there: {cause}; tried again", NEGATIVE)
    if not found["certificates"]:
        fail("nothing was sealed with a key of its own: see burst shred --list", NEGATIVE)
    raise typer.Exit(OK)


def _show(found: dict[str, Any]) -> None:
    for one in found["certificates"]:
        lines([f"{name:<17} {'' if value is None else value}" for name, value in one.items()])
        lines([""])


def _show_keys(found: dict[str, Any]) -> None:
    for key in found["keys"]:
        since = f"destroyed {key['destroyed_at']}" if key["destroyed_at"] else key["made_at"]
        lines([f"{key['scope']:<32} {key['bucket']:<16} {since}"])
    lines([] if found["keys"] else ["nothing of anybody lies in a bucket"])
