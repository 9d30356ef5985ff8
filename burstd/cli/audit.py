"""``burst audit``: read the audit log and check its chain, here and not in the daemon."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from burstd.adapters.vault import is_signed
from burstd.cli.answers import Json, fail
from burstd.cli.client import ERROR, NEGATIVE, Answerless, ask
from burstd.core.audit import BrokenChain, canonical, from_json, verify
from burstd.domain.audit import NOTHING, AuditHead, AuditRecord
from burstd.domain.keys import Signature

app = typer.Typer(
    help="The audit log: every event of every burst and every run permit, hash-chained.",
    no_args_is_help=True,
)
_SIGNED = ("public_key", "signature")
Known = Annotated[
    str, typer.Option("--against", metavar="SEQ:DIGEST", help="A head printed earlier.")
]
File = Annotated[
    Path | None, typer.Argument(help="An export; without it burstd is asked for the log.")
]


@app.command("export")
def export() -> None:
    """Print every record as one line of JSON.

    Example: burst audit export > audit.jsonl
    """
    try:
        for record in _asked():
            sys.stdout.write(json.dumps(record) + "\n")
    except Answerless as error:
        fail(str(error), error.code)


@app.command("verify")
def check(
    file: File = None,
    against: Known = str(NOTHING),
    as_json: Json = False,
) -> None:
    """Follow the chain from its first record; print its head, or the first break (exit code 3).

    Keep the head elsewhere and give it to --against next time: a cut-off end shows only so.

    Example: burst audit verify audit.jsonl --against 120:4c1f...
    """
    try:
        known = AuditHead.parse(against)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    try:
        signers = set[str]()
        records = map(from_json, _read(file) if file else _asked())
        head = verify((_certified(record, signers) for record in records), known)
    except Answerless as error:
        fail(str(error), error.code)
    except OSError as error:
        fail(f"{file}: {error.strerror}", ERROR)
    except BrokenChain as error:
        if as_json:
            typer.echo(json.dumps({"whole": False, "break": str(error)}))
            raise typer.Exit(NEGATIVE) from None
        fail(f"the audit log is broken: {error}", NEGATIVE)
    else:
        if as_json:
            found = {"whole": True, "records": head.seq, "head": str(head)}
            typer.echo(json.dumps({**found, "certificates_by": sorted(signers)}))
        else:
            typer.echo(f"{head.seq} records, the chain is whole\nhead {head}")
            for key in sorted(signers):
                typer.echo(f"certificates of deletion are signed by key {key}")


def _certified(record: AuditRecord, signers: set[str]) -> AuditRecord:
    """The record; a certificate in it must be signed by the key that it names."""
    if record.action == "shredded":
        detail = {name: value for name, value in record.detail.items() if name not in _SIGNED}
        by = Signature(*(str(record.detail.get(name)) for name in _SIGNED))
        if not is_signed(canonical(detail).encode(), by):
            raise BrokenChain(f"the certificate in record {record.seq} is not signed by its key")
        signers.add(by.public_key)
    return record


def _asked() -> Iterator[dict[str, Any]]:
    after = 0
    while page := ask(f"/v1/audit?after={after}")["records"]:
        yield from page
        after = int(page[-1]["seq"])


def _read(file: Path) -> Iterator[dict[str, Any]]:
    with file.open() as lines:
        for number, line in enumerate(lines, 1):
            try:
                found = json.loads(line)
            except ValueError as error:
                raise BrokenChain(f"line {number} is not JSON") from error
            if not isinstance(found, dict):
                raise BrokenChain(f"line {number} is not a record")
            yield found
