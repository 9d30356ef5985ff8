"""``burst files``: what of a job has left the site."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from burstd.cli.answers import Job, Json, answer, lines

Sums = Annotated[
    bool, typer.Option("--sums", help="Digests and paths only, as b3sum prints and checks them.")
]


def files(job: Job, sums: Sums = False, as_json: Json = False) -> None:
    """What of the job has left the site: every input with its size and BLAKE3, when, and to where;
    and what was begun to be sent, and may have left in part.

    Example: burst files 123 --sums | b3sum --check
    """
    answer(f"/v1/jobs/{job}/files", as_json, _sums if sums else _show)


def _show(found: dict[str, Any]) -> None:
    if found["left_at"] is None:
        why = f": {found['refused']}" if found["refused"] else ""
        job = f"of {found['user']}'s job {found['job']}"
        lines([] if found["begun"] else [f"nothing {job} has left{why or ' yet'}"])
        _show_begun(found, f"{job} to {found['target']}, burst {found['burst']}{why}")
        return
    count, size = len(found["files"]), found["bytes"] / 2**20
    lines([
        f"{found['left_at']}  {count} files, {size:.1f} MiB, of {found['user']}'s job "
        f"{found['job']} to {found['target']}, burst {found['burst']}",
        *(_line(file["size"], file["blake3"], file["path"]) for file in found["files"]),
    ])  # fmt: skip
    if script := found["script"]:
        lines([_line(script["size"], script["blake3"], "(the batch script)")])
    _show_begun(found, "that are no inputs any more")


def _show_begun(found: dict[str, Any], which: str) -> None:
    """Nobody has said how far these came: no digest is known."""
    if begun := found["begun"]:
        size = sum(file["size"] for file in begun) / 2**20
        head = f"{found['begun_at']}  some of {len(begun)} files, {size:.1f} MiB, {which}, may have"
        lines([f"{head} left", *(_line(file["size"], "-", file["path"]) for file in begun)])


def _line(size: int, digest: str, path: str) -> str:
    name = path.replace("\n", "?")  # one line each
    return f"{size:>14}  {digest[:16]:<16}  {name}"


def _sums(found: dict[str, Any]) -> None:
    lines([_sum(file["blake3"], file["path"]) for file in found["files"]])


def _sum(digest: str, path: str) -> str:
    """As b3sum has it: one line each, whatever is in a name."""
    name = path.replace("\\", "\\\\").replace("\n", "\\n")
    return f"{digest}  {path}" if name == path else f"\\{digest}  {name}"
