"""The ledger's memory of what it has said of each job."""

from __future__ import annotations

from burstd.adapters.store.database import Database
from burstd.adapters.store.verdicts import Verdicts
from burstd.domain.jobs import CoreHours
from burstd.domain.plan import Decline, Plan, Reason
from burstd.testing.bursts import identity
from burstd.testing.clock import SteppedClock
from burstd.testing.simulators import memory, store_in


def test_what_is_not_in_the_queue_any_more_takes_no_memory() -> None:
    engine, clock = memory(), SteppedClock()
    store_in(engine, clock)
    database = Database(engine)
    verdicts = Verdicts(database)
    for number in range(1, 50):
        who = identity(number)
        decline = Decline(who, Reason.PACED, elements=(who.key,))
        with database.writing() as db:
            said = verdicts.note(db, Plan(CoreHours(0), frozenset(), (), (decline,)), clock.now())
        verdicts.remember(said)
    assert {(49, -1)} == said.keys() == verdicts._said.keys()
    known = verdicts.last(identity(1).key)
    assert known is not None
    assert Reason.PACED.value == known.text
