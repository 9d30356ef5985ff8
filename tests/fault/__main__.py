"""``python -m tests.fault``: the crash campaign. ``--help`` says how to choose."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lab.lab import Lab
from tests.fault import page
from tests.fault.campaign import Book, Result, chosen, run
from tests.fault.scene import Scene
from tests.fault.scenes import every

BOOK = Path(__file__).resolve().parents[2] / "build" / "faults.json"


def main(argv: list[str]) -> int:
    """0 only if everything that was played is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.fault", description=__doc__)
    parser.add_argument("only", nargs="?", default="", help="pattern on the names: kill/, wan/...")
    parser.add_argument("--list", action="store_true", help="show the names and play nothing")
    parser.add_argument("--again", action="store_true", help="also what has been found well before")
    parser.add_argument("--kills", type=int, default=4, help="kills of burstd in one run (4)")
    parser.add_argument("--page", action="store_true", help="write the results into docs/faults.md")
    options = parser.parse_args(argv)
    book, console = Book(BOOK), Console(highlight=False)
    if options.page:
        page.write(list(book.read().values()))
        return 0
    done = [] if options.again else list(book.read().values())
    scenes = chosen(every(options.kills), options.only, done)
    if options.list:
        for scene in scenes:
            console.print(f"{scene.name}  ({scene.workload})")
        return 0
    console.print(f"{len(scenes)} scenes to play; {BOOK} keeps what they give")

    def tell(number: int, scene: Scene, result: Result) -> None:
        word = "[green]ok[/]" if result.ok else "[bold red]NO[/]"
        console.print(
            f"{number:3}/{len(scenes)}  {word}  {result.seconds:6.1f} s  {scene.name}",
            soft_wrap=True,
        )
        if not result.ok:
            console.print(result.verdict, markup=False)

    ok = run(Lab.here(), scenes, book, tell)
    console.print(summary(list(book.read().values())))
    return 0 if ok else 1


def summary(results: list[Result]) -> Table:
    """One row per group of scenes."""
    table = Table(title="faults", title_justify="left")
    for column in ("group", "scenes", "well", "seconds", "not well"):
        table.add_column(column, overflow="fold")
    groups = dict.fromkeys(result.scene.partition("/")[0] for result in results)
    for group in groups:
        mine = [result for result in results if result.scene.startswith(f"{group}/")]
        bad = [result.scene.partition("/")[2] for result in mine if not result.ok]
        seconds = sum(result.seconds for result in mine)
        well = len(mine) - len(bad)
        table.add_row(group, str(len(mine)), str(well), f"{seconds:.0f}", ", ".join(bad))
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
