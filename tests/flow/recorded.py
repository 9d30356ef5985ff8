"""A day in short whose decisions are kept, and what is done with them."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from burstd.adapters.decisions import days, read
from burstd.cli.burst import app
from burstd.domain.decision import Decision
from burstd.testing.simulators import in_file
from tests.flow.scene import Scene

LATE = "8"


def day(tmp_path: Path) -> Scene:
    """Jobs come and go, one of each kind of verdict."""
    scene = Scene(database=in_file(tmp_path / "ledger.db"), decisions=tmp_path / "decisions")
    scene.slurm.submit(name="beam", minutes=120)
    scene.slurm.submit(name="early", minutes=1, user="bob")
    scene.slurm.submit(name="sweep", minutes=120, tasks=(1, 2, 5))
    scene.slurm.submit(name="long", minutes=120, partition="long")
    scene.turn(4)
    scene.store.freeze("carol", "maintenance")
    assert LATE == scene.slurm.submit(name="late", minutes=120)
    scene.slurm.submit(name="longer", minutes=120, partition="long")
    scene.turn(3)
    scene.store.thaw("carol")
    scene.turn(3)
    return scene


def configured(tmp_path: Path, *, whole: bool = False) -> Path:
    """A file with the policy of scenes; unless it is ``whole``, what else it names is elsewhere."""
    home = tmp_path if whole else Path("/elsewhere")
    if whole:
        (home / "apps").mkdir()
        (home / "ca").touch()
    path = tmp_path / "config.toml"
    path.write_text(
        f'[paths]\napplications = "{home}/apps"\nssh_authority = "{home}/ca"\n'
        '[policy]\nmode = "auto"\npartitions = ["cae"]\nhigh = "2 core-hours"\n'
        'low = "0.5 core-hours"\nbudget = "100 EUR/month"\nmin_age = "0s"\n'
        'unlabelled = "open"\n[policy.classes.open]\n[targets.cloud]\n'
    )
    return path


def kept(directory: Path) -> list[Decision]:
    lost: list[str] = []
    found = [k.decision() for k in read([path for _, path in days(directory)], lost.append)]
    assert [] == lost
    return found


def burst(*words: str) -> tuple[int, str]:
    """Exit code and output."""
    done = CliRunner().invoke(app, words)
    return done.exit_code, done.output
