"""``burstd``: the daemon's command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from burstd import __version__

app = typer.Typer(
    name="burstd",
    help="Watch the on-prem Slurm queue and run its overflow in cloud partitions.\n\n"
    "Exit codes: 0 ok, 1 failed, 2 wrong usage, 78 the configuration has errors.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="Configuration file.", envvar="BURSTD_CONFIG")
]
DEFAULT = Path("/etc/burstd/config.toml")
EX_CONFIG = 78  # sysexits.h


@app.command()
def run(config: ConfigOption = DEFAULT) -> None:
    """Run in the foreground until TERM. Needs Slurm operator rights and no others."""
    from burstd.cli.service import serve

    settings = _checked(config)
    raise typer.Exit(serve(settings))


@app.command("check-config")
def check_config(config: ConfigOption = DEFAULT) -> None:
    """Read the configuration and list every problem with its line. Touches nothing."""
    _checked(config)
    typer.echo(f"{config}: ok")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"burstd {__version__}")


def _checked(path: Path):  # type: ignore[no-untyped-def]  # the import is deferred: quick --help
    from burstd.app import settings_in
    from burstd.config.read import ConfigError

    try:
        return settings_in(path)
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        typer.echo(f"burstd: {len(error.problems)} problems; nothing was started", err=True)
        raise typer.Exit(EX_CONFIG) from None


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
