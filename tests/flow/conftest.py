"""The scene that most stories begin with, and what stands between a scene and ``burst``."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from burstd.api.desk import Desk
from burstd.api.server import ApiServer
from burstd.cli import client
from tests.contract.s3 import S3Server, moto, served
from tests.flow.scene import Scene

ME = pwd.getpwuid(os.geteuid()).pw_name
Serve = Callable[..., None]


@pytest.fixture
def scene() -> Scene:
    """One job of two core-hours waits in a full queue."""
    scene = Scene()
    scene.slurm.submit(name="beam", minutes=120)
    return scene


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """``serve(scene)``: from now on ``burst`` speaks with the API of this scene's daemon; we are an
    operator, unless ``operator=False``. Its database must be in a file: threads read it."""
    servers: list[ApiServer] = []

    def begin(scene: Scene, *, operator: bool = True) -> None:
        operators = frozenset({ME} if operator else ())
        desk = Desk(scene.world, scene.memory, operators, scene.clock.now())
        socket = tmp_path / f"s{len(servers)}"
        servers.append(ApiServer(desk, socket))
        servers[-1].start()
        monkeypatch.setattr(client, "SOCKET", str(socket))

    yield begin
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """Of an S3 server that takes any signature."""
    with served(moto()) as url:
        yield url


@pytest.fixture
def server(endpoint: str, tmp_path: Path) -> S3Server:
    """A bucket of its own."""
    return S3Server(endpoint, "AKID", "secret", tmp_path, checks_signatures=False)
