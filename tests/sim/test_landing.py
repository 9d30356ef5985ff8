"""The landing as it is: hostile names and hands, and power cuts after each of its system calls."""

from __future__ import annotations

import shutil
from itertools import islice

import pytest

from tests.sim.hostile import tries
from tests.sim.powercut import power_cuts


def test_nothing_that_a_far_end_or_a_user_tries_breaks_an_invariant() -> None:
    found = dict(tries())
    assert len(found) > 10
    assert {} == {name: wrong for name, wrong in found.items() if wrong}


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_no_power_cut_takes_what_has_landed() -> None:
    found = dict(islice(power_cuts(), 4))
    assert 4 == len(found)
    assert {} == {name: wrong for name, wrong in found.items() if wrong}
