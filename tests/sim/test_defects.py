"""Each deliberate mistake fits the code as it is now; the hunt itself takes long."""

from __future__ import annotations

from pathlib import Path

import pytest

import burstd
from tests.sim.defects import DEFECTS
from tests.sim.defects.defect import Defect


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_what_a_mistake_replaces_is_there_once(defect: Defect) -> None:
    for edit in defect.edits:
        text = (Path(burstd.__file__).parent / edit.file).read_text()
        assert 1 == text.count(edit.old), edit.old
        assert edit.old != edit.new
