"""Whether an attempt may begin: once, and whoever is looking."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from burstd.far import start
from burstd.far.rundir import RunDir


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir.open(str(tmp_path), "b-1", create=True)


def test_somebody_who_just_looks_keeps_no_runner_from_beginning(run: RunDir) -> None:
    held = run.lock()
    assert held is not None
    looked = threading.Timer(0.3, os.close, [held])
    looked.start()
    assert start._begin(run, 1) is not None
    looked.join()


def test_a_second_runner_does_not_begin(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "LOOKS", 0.2)
    held = run.lock()
    assert held is not None
    assert start._begin(run, 1) is None
    os.close(held)
    assert start._begin(run, 1) is not None
    assert start._begin(run, 1) is None
    assert start._begin(run, 2) is None  # the first one lives
