"""The systemd units: nothing to complain of, and little that an intruder could do."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.packaging import REPOSITORY

UNITS = REPOSITORY / "systemd"
#: Exposure as ``systemd-analyze security`` reckons it (0 best, 10 worst), times ten.
EXPOSED = {"burstd.service": 13, "burst-netd.service": 18}
NEEDED = ("sysinit", "basic", "shutdown", "multi-user", "network-online")

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with our units, stubs of our programs, and the targets that the units name."""
    units, programs = tmp_path / "etc/systemd/system", tmp_path / "usr/bin"
    units.mkdir(parents=True)
    programs.mkdir(parents=True)
    for unit in UNITS.glob("*.service"):
        shutil.copy(unit, units)
    for target in NEEDED:
        (units / f"{target}.target").write_text(f"[Unit]\nDescription={target}\n")
    (units / "system.slice").write_text("[Slice]\n")
    for name in ("burstd", "burst-netd"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    return tmp_path


def test_there_is_a_unit_for_each_daemon() -> None:
    assert set(EXPOSED) == {unit.name for unit in UNITS.iterdir()}


def test_systemd_has_nothing_to_say_against_the_units(root: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", f"--root={root}", "--man=no", *EXPOSED],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(("unit", "most"), EXPOSED.items())
def test_a_unit_is_hardly_exposed(unit: str, most: int) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={most}",
         str(UNITS / unit)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stdout[-200:]


def test_the_units_start_the_installed_commands() -> None:
    scripts = (REPOSITORY / "pyproject.toml").read_text()
    for unit in UNITS.iterdir():
        program = next(
            line.partition("=")[2].split()[0]
            for line in unit.read_text().splitlines()
            if line.startswith("ExecStart=")
        )
        assert f"\n{Path(program).name} = " in scripts


def test_burstd_runs_without_a_user_namespace_which_would_make_all_callers_alike() -> None:
    lines = (UNITS / "burstd.service").read_text().splitlines()
    assert [] == [line for line in lines if line.startswith("PrivateUsers=")]
