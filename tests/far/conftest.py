"""A far end for each test, in a directory that the unprivileged user can reach."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from burstd.agent.index import Index
from burstd.far.pack import build
from burstd.far.program import ALONE
from tests.far.kit import PYTHON, USER, FarEnd, no_containers


def _public(path: Path) -> None:
    path.mkdir(exist_ok=True)
    path.chmod(0o755)
    if not os.geteuid():
        os.chown(path, pwd.getpwnam(USER).pw_uid, pwd.getpwnam(USER).pw_gid)


@pytest.fixture(scope="session")
def program() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="burst-far-test-"))
    home.chmod(0o755)
    build(home / "burst-far.pyz")
    subprocess.run([PYTHON, *ALONE, home / "burst-far.pyz", "compile"], check=True)
    yield home / "burst-far.pyz"
    shutil.rmtree(home)


@pytest.fixture
def far(program: Path) -> Iterator[FarEnd]:
    """A far end; everything it leaves mounted would make its removal fail."""
    home = Path(tempfile.mkdtemp(prefix="burst-far-test-"))
    for place in (home, home / "tmp", home / "far"):
        _public(place)
    yield FarEnd(home, program)
    assert not list((home / "tmp").iterdir()), "a work directory was left behind"
    shutil.rmtree(home)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """Of files that were read before: none."""
    found = Index(tmp_path / "index")
    yield found
    found.close()


@pytest.fixture(scope="session")
def _containers() -> None:
    reason = no_containers()
    if reason:
        pytest.skip(f"no containers here: {reason}")


@pytest.fixture
def site(far: FarEnd, _containers: None) -> FarEnd:
    """A far end that can start containers."""
    return far


@pytest.fixture
def small_site(far: FarEnd) -> Iterator[FarEnd]:
    """A far end on a file system of 8 MiB."""
    if os.geteuid():
        pytest.skip("a small tmpfs needs root")
    place = far.root
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "tmpfs", place], check=True)
    _public(place)
    yield far
    subprocess.run(["umount", place], check=True)
