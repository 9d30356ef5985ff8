"""burstd's Python on the on-prem hosts: packages from wheels, the checkout's code, programs.

The hosts run Debian 13's Python 3.13 and have no pip and no network: packages are installed from
here, for there, into one folder that all on-prem hosts see read-only at /opt/burstd/site.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from lab import procs
from lab.errors import LabError
from lab.paths import Paths

PYTHON = "3.13"
PLATFORMS = (
    "manylinux_2_39",
    "manylinux_2_34",
    "manylinux_2_28",
    "manylinux_2_17",
    "manylinux2014",
)

# Packages of which PyPI has no wheel.
SOURCE_ONLY = ("clustershell",)

# What `pip install .` would make of these tables; the hosts see the checkout itself instead.
PYTHONPATH = "/opt/burstd/src:/opt/burstd/src/plugins:/opt/burstd/meta:/opt/burstd/site/current"


def programs(checkout: Path) -> dict[str, str]:
    """burstd's programs and the "module:function" each calls, from the checkout's pyproject."""
    scripts = _project(checkout).get("scripts", {})
    return {str(name): str(target) for name, target in scripts.items()} if scripts else {}


def wrapper(name: str) -> str:
    """The text of /usr/local/bin/NAME."""
    environment = f"export PYTHONPATH={PYTHONPATH}\n"
    return f'#!/bin/sh\n{environment}exec python3 /opt/burstd/meta/bin/{name} "$@"\n'


def write_metadata(checkout: Path, target: Path) -> None:
    """Write what an installed burstd would have: its programs, its metadata, its entry points."""
    project = _project(checkout)
    (target / "bin").mkdir(parents=True, exist_ok=True)
    for name, call in programs(checkout).items():
        module, _, function = call.partition(":")
        text = f"import sys\n\nfrom {module} import {function}\n\nsys.exit({function}())\n"
        (target / "bin" / name).write_text(text)
    info = target / f"burstd-{project.get('version', '0')}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: burstd\nVersion: {project.get('version', '0')}\n"
    )
    groups = {"console_scripts": programs(checkout), **project.get("entry-points", {})}
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {call}\n" for name, call in entries.items())
        for group, entries in groups.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))


def requirements(checkout: Path) -> list[str]:
    """What burstd needs to run, with PostgreSQL too, from the checkout's pyproject.toml."""
    project = _project(checkout)
    extras = project.get("optional-dependencies", {})
    return [*project.get("dependencies", []), *extras.get("postgresql", [])]


def install(paths: Paths, wanted: Sequence[str]) -> Path:
    """Install packages for the hosts' Python; a running lab sees them at once.

    Quick if the same packages are there already. Raises LabError if pip can't get them.
    """
    digest = hashlib.sha256("\n".join([PYTHON, *sorted(wanted)]).encode()).hexdigest()[:16]
    target = paths.site_packages / digest
    if not target.is_dir():
        fresh = paths.site_packages / f"{digest}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fetch(paths, fresh, wanted)
        _compile(paths, fresh)
        fresh.rename(target)
    link = paths.site_packages / "current.new"
    link.unlink(missing_ok=True)
    link.symlink_to(digest)
    link.rename(paths.site_packages / "current")
    return target


def fetch(paths: Paths, fresh: Path, wanted: Sequence[str]) -> None:
    """Put packages for the hosts' Python, which is another than ours, into a folder. Wheels only.

    What comes as source is built here: it must be pure Python. Raises LabError.
    """
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    platforms = [f"--platform={name}_x86_64" for name in PLATFORMS]
    wheels = paths.cache / "wheels"
    wheels.mkdir(exist_ok=True)
    aim = [f"--python-version={PYTHON}", "--implementation=cp", "--only-binary=:all:", *platforms]
    install = [
        *pip,
        "install",
        "-q",
        "--target",
        str(fresh),
        f"--find-links={wheels}",
        *aim,
        *wanted,
    ]
    for name in SOURCE_ONLY:
        if any(requirement.lower().startswith(name) for requirement in wanted) and not list(
            wheels.glob(f"{name}-*-none-any.whl")
        ):
            run(paths, [*pip, "wheel", "-q", "--no-deps", "--wheel-dir", str(wheels), name])
    run(paths, install)


def _compile(paths: Paths, fresh: Path) -> None:
    """Byte-compile with the hosts' own Python.

    They see the folder read-only and could not keep the result.
    """
    script = 'mount --bind "$1" "$2/mnt" && chroot "$2" python3 -m compileall -q -j2 /mnt || true'
    unshare = ["unshare", "-m", "--propagation", "private"]
    run(paths, [*unshare, "sh", "-c", script, "sh", str(fresh), str(paths.trixie)])


def run(paths: Paths, argv: list[str]) -> None:
    """Run a command that gets packages. Raises LabError if it fails."""
    mark = {procs.MARK: str(paths.base)}
    env = {**os.environ, **mark}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(
            f"installing Python packages failed: {done.stderr.strip()}",
            "run it from a virtual environment with pip that reaches the package index",
        )


def _project(checkout: Path) -> dict[str, dict[str, dict[str, str]]]:
    file = checkout / "pyproject.toml"
    tables = tomllib.loads(file.read_text()) if file.exists() else {}
    project: dict[str, dict[str, dict[str, str]]] = tables.get("project", {})
    return project
