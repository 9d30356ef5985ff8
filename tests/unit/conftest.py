"""What several rooms' tests begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from burstd.agent import index as module
from burstd.agent.index import Index


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """It takes files that were written just now for settled."""
    monkeypatch.setattr(module, "SETTLED", -60)
    found = Index(tmp_path / "index")
    yield found
    found.close()
