"""What several rooms' tests begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from burstd.agent import index as module
from burstd.agent.index import Index
from tests.unit.studies import Put


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """It takes files that were written just now for settled."""
    monkeypatch.setattr(module, "SETTLED", -60)
    found = Index(tmp_path / "index")
    yield found
    found.close()


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Write a file below the job's directory."""

    def write(name: str, content: str | bytes = "") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write
