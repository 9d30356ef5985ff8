"""``python -m demo``: run the story on the lab, print the verdict, exit by it. ``start``: burstd on
the lab, to try things; ``down``: end all."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from demo import install, verdict
from demo.story import Story, Tell, TooSlow
from lab.errors import LabError
from lab.lab import Lab

BUILD = Path(__file__).resolve().parent.parent / "build" / "demo"


def main() -> int:
    """0 only if every line of the verdict holds."""
    lab, console = Lab.here(), Console()
    if sys.argv[1:] == ["down"]:
        lab.down()
        return 0
    if sys.argv[1:] == ["start"]:
        return start(lab, console)
    started = time.monotonic()
    try:
        with Teller(console) as tell:
            lab.up(lambda text, done: tell(f"lab: {text}", (done or 0) * 0.01))
            evidence = Story(lab, BUILD, tell).play()
            tell("judging", 0.98)
            checks = verdict.judge(evidence)
            install.stop(lab)
    except (TooSlow, LabError) as error:
        checks = [verdict.Check("the story was told to its end", ok=False, detail=str(error))]
    ok = verdict.write(checks, BUILD / "verdict.json")
    table = Table(title="verdict", title_justify="left")
    for column in ("", "check", "detail"):
        table.add_column(column, overflow="fold")
    for check in checks:
        table.add_row("[green]ok[/]" if check.ok else "[bold red]NO[/]", check.name, check.detail)
    console.print(table)
    words = "every line holds" if ok else "NOT every line holds"
    console.print(f"{words}; {time.monotonic() - started:.0f} s; {BUILD / 'verdict.json'}")
    if not ok:
        console.print(f"logs: {lab.paths.base}/burstd.log, burst-netd.log")
    return 0 if ok else 1


def start(lab: Lab, console: Console) -> int:
    """burstd runs on the proxy node until ``down``."""
    lab.up(lambda text, _: console.print(f"lab: {text}", highlight=False))
    install.stop(lab)
    install.install(lab)
    install.start_netd(lab)
    install.start_burstd(lab)
    console.print("burstd runs: .venv/bin/python -m lab shell px --user alice", highlight=False)
    return 0


class Teller:
    """A bar on a terminal, lines when not."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._last = ""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(24),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=console, transient=True)
        self._task = self._progress.add_task("starting", total=1.0)

    def __enter__(self) -> Tell:
        if self._console.is_terminal:
            self._progress.start()
        return self._tell

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _tell(self, text: str, done: float) -> None:
        if self._console.is_terminal:
            self._progress.update(self._task, description=text, completed=done)
        elif text != self._last:
            self._console.print(
                f"{time.monotonic() - self._started:6.1f} s  {text}", highlight=False
            )
        self._last = text


if __name__ == "__main__":
    sys.exit(main())
