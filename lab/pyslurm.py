"""A real pyslurm for the on-prem hosts, compiled inside their own root on first use.

No Debian has a pyslurm, and PyPI's is for a Slurm that no Debian has: the lab patches it to the
Slurm that runs here. The compiler sees a copy of the hosts' root; what it makes is a virtual
environment.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from lab import build, pylib, recipe
from lab.errors import LabError
from lab.paths import Paths

Report = Callable[[str, float | None], None]

SDIST = "pyslurm-25.11.2.tar.gz"
SHA256 = "6e0e4bc639ea3177591b102b77c1dd8df55a9e411ac42ef339a4adb3908cca34"
TOOLS = ("Cython<4", "setuptools<90")
SCRIPTS = ("chamber.sh", "compile.sh", "compat.h", "slurm-24.11.patch")
#: On the hosts: below a folder that they see already, so that a running lab gets it, too.
VENV = "/opt/burstd/site/pyslurm"
PYTHON = f"{VENV}/bin/python"


def install(paths: Paths, report: Report) -> str:
    """Make it if it is missing or its recipe changed; the interpreter that has it, on the hosts.

    Half a minute. Raises LabError if a step fails.
    """
    sources = [paths.native / "pyslurm" / name for name in SCRIPTS]
    content = b"".join(source.read_bytes() for source in sources)
    recipes = repr((recipe.HOST_ROOT.digest(), SHA256, TOOLS, VENV)).encode()
    digest = hashlib.sha256(recipes + content).hexdigest()[:16]
    target, stamp = paths.site_packages / "pyslurm", paths.site_packages / "pyslurm.recipe"
    if not (target.is_dir() and stamp.exists() and stamp.read_text() == digest):
        report("pyslurm for slurm 24.11 (half a minute)", None)
        fresh = _make(paths, sources)
        stamp.unlink(missing_ok=True)
        build.remove_tree(target)
        fresh.rename(target)
        stamp.write_text(digest)
        build.remove_tree(_folder(paths))
    return PYTHON


def _make(paths: Paths, sources: list[Path]) -> Path:
    """The virtual environment, in the layer over the hosts' root where it was compiled."""
    folder = _folder(paths)
    build.remove_tree(folder)
    inside = folder / "layer" / "build"
    inside.mkdir(parents=True)
    for source in sources:
        shutil.copy(source, inside)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    name = SDIST.removesuffix(".tar.gz").replace("-", "==")
    asked = ["download", "--no-deps", "--no-binary=pyslurm", "-d", str(inside), name]
    pylib.run(paths, [*pip, *asked])
    if hashlib.sha256((inside / SDIST).read_bytes()).hexdigest() != SHA256:
        raise LabError(f"{SDIST} is not the one that the patch is for")
    pylib.fetch(paths, inside / "tools", TOOLS)
    chamber = ["sh", str(inside / "chamber.sh"), str(paths.trixie), str(folder), VENV]
    unshare = ["unshare", "-m", "--propagation", "private"]
    build.run(paths, "pyslurm", [*unshare, *chamber])
    return folder / "layer" / VENV.lstrip("/")


def _folder(paths: Paths) -> Path:
    return paths.cache / "pyslurm.new"
