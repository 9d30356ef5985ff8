"""``burst simulate --recorded``: decisions that burstd has kept, decided again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from burstd import __version__
from burstd.cli.answers import fail, lines
from burstd.cli.client import ERROR, NEGATIVE, OK, USAGE
from burstd.cli.rehearsed import write

if TYPE_CHECKING:
    from burstd.domain.decision import Decision
    from burstd.domain.policy import BurstPolicy
    from burstd.rehearsal.again import Compared, Reproduced


def again(paths: Sequence[Path], config: Path | None, out: Path | None) -> NoReturn:
    """By the policy that each was made by, or by that of a configuration; tell what comes."""
    from burstd.ports.errors import PortError
    from burstd.rehearsal.again import compared, reproduced
    from burstd.shell.calendar import closed

    policy = _policy(config) if config is not None else None
    source = _Source(paths)
    found: Compared | Reproduced
    try:
        if policy is None:
            found = reproduced(source.decisions())
        else:
            found = compared(_in(policy.currency, source.decisions()), policy, closed)
    except PortError as error:
        fail(str(error), ERROR)
    for what in source.lost:
        typer.echo(f"burst: {what}", err=True)
    if not found.decisions:
        fail(f"there is no decision in {', '.join(map(str, paths))}", USAGE)
    if out is not None:
        write(out, {**found.as_json(), "lost": source.lost})
    elif policy is None:
        _show_reproduced(found.as_json(), source)
    else:
        _show_compared(found.as_json())
    same = policy is not None or found.as_json()["same"] == found.decisions
    raise typer.Exit(OK if same else NEGATIVE)


def _in(currency: str, decisions: Iterator[Decision]) -> Iterator[Decision]:
    """Of what was promised and paid in another one no budget can be said to cover anything."""
    for one in decisions:
        if (theirs := one.policy.currency) != currency:
            at = one.at.isoformat()
            fail(f"the decision of {at} is in {theirs}, and the policy in {currency}", USAGE)
        yield one


class _Source:
    """The decisions of some files, and what was met on the way."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [file for path in paths for file in _files(path)]
        self.lost: list[str] = []
        self.versions: set[str] = set()

    def decisions(self) -> Iterator[Decision]:
        from burstd.adapters.decisions import read

        for kept in read(self._files, self.lost.append):
            self.versions.add(kept.version)
            yield kept.decision()


def _files(path: Path) -> list[Path]:
    from burstd.adapters.decisions import days

    if not path.exists():
        fail(f"there is no {path}", USAGE)
    return [file for _, file in days(path)] if path.is_dir() else [path]


def _policy(config: Path) -> BurstPolicy:
    from burstd.config.policy import policy_of
    from burstd.config.read import ConfigError, read_rules

    try:
        policy = policy_of(read_rules(config))
    except ConfigError as error:
        fail("\n".join(error.problems), USAGE)
    if not policy.targets:
        fail(f"{config} has no [targets.NAME]: by it nothing could leave, to nowhere", USAGE)
    return policy


def _show_reproduced(found: dict[str, Any], source: _Source) -> None:
    first, all_of_them = found["first"], found["decisions"]
    typer.echo(f"{found['same']} of {all_of_them} decisions came out as they were")
    if first:
        versions = ", ".join(sorted(source.versions))
        typer.echo(f"made by burstd {versions}, decided again by {__version__}")
        typer.echo(f"the first that differs, of {first['at']}:")
        lines([f"  {one}" for one in first["differences"]])


def _show_compared(found: dict[str, Any]) -> None:
    typer.echo(
        f"{found['decisions']} decisions: in {found['differ']} some job would have had another "
        f"verdict, in {found['others_leave']} other jobs would have left"
    )
    for name, title, why in (
        ("would_have_left", "would have left, and never did", "it stayed:"),
        ("would_have_stayed", "left, and would not have", "it would have stayed:"),
    ):
        jobs = sum(row["jobs"] for row in found[name])
        typer.echo(f"{jobs} jobs {title}")
        lines(
            [f"{r['jobs']:>8}  {r['account']:<16} {why} {r['reason'] or '-'}" for r in found[name]]
        )
    if found["scripts_unread"]:
        typer.echo(
            f"{found['scripts_unread']} jobs can't be judged: their policy kept them, so nobody "
            "had read their scripts"
        )
