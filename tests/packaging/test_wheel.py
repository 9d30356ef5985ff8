"""The wheel: all that an installation needs is in it."""

from __future__ import annotations

import configparser
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.packaging import REPOSITORY


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built by hatchling, without a network."""
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=REPOSITORY, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return zipfile.ZipFile(next(out.glob("*.whl")))


def below(directory: str) -> set[str]:
    return {
        str(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / directory).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_it_holds_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    assert below("burstd") <= set(wheel.namelist())


def test_it_holds_the_slurm_plugin_with_its_entry_point(wheel: zipfile.ZipFile) -> None:
    plugin = {name.removeprefix("plugins/") for name in below("plugins/burstd_slurm")}
    assert plugin <= set(wheel.namelist())
    points = configparser.ConfigParser()
    points.read_string(_of(wheel, "entry_points.txt"))
    assert {"slurm": "burstd_slurm:PLUGIN"} == dict(points["burstd.targets"])


def test_its_commands_are_there_and_can_be_loaded(wheel: zipfile.ZipFile) -> None:
    points = configparser.ConfigParser()
    points.read_string(_of(wheel, "entry_points.txt"))
    commands = dict(points["console_scripts"])
    assert {"burst", "burstd", "burst-netd", "burst-agent"} == set(commands)
    for place in commands.values():
        module = place.partition(":")[0].replace(".", "/")
        assert f"{module}.py" in wheel.namelist()


def test_it_brings_the_profiles_the_c_sources_and_the_example(wheel: zipfile.ZipFile) -> None:
    shared = {
        name.partition("/data/share/burstd/")[2]: name
        for name in wheel.namelist()
        if "/data/share/burstd/" in name
    }
    wanted = {
        **{f"apps/{path.name}": path for path in (REPOSITORY / "plugins/apps").glob("*.toml")},
        **{f"slurm/{path.name}": path for path in (REPOSITORY / "plugins/slurm").glob("*.c")},
        "config.example.toml": REPOSITORY / "config.example.toml",
    }
    assert set(wanted) == set(shared)
    for name, path in wanted.items():
        assert path.read_bytes() == wheel.read(shared[name])


def test_it_brings_the_licence_and_no_tests(wheel: zipfile.ZipFile) -> None:
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())
    tops = {Path(name).parts[0] for name in wheel.namelist()}
    assert {"burstd", "burstd_slurm"} == {top for top in tops if not top.startswith("burstd-")}


def _of(wheel: zipfile.ZipFile, name: str) -> str:
    return wheel.read(next(n for n in wheel.namelist() if n.endswith(f"dist-info/{name}"))).decode()
