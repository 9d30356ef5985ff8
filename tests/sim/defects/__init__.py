"""Mistakes that a competent programmer might make: each is put into a copy of burstd, and the
campaign must find it."""

from __future__ import annotations

from tests.sim.defects.away import AWAY
from tests.sim.defects.home import HOME
from tests.sim.defects.kept import KEPT

DEFECTS = (*AWAY, *HOME, *KEPT)
