"""What a ledger must keep of what people ask of bursts, and of the permits that it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from burstd.core.lifecycle import advance
from burstd.domain import events as ev
from burstd.domain.audit import DAEMON
from burstd.domain.burst import BurstId, Stage
from burstd.domain.requests import Request, RequestKind
from burstd.ports.store import BurstStore
from burstd.testing.bursts import identity, move, plan
from burstd.testing.clock import SteppedClock

RETURN = Request(RequestKind.RETURN, "bob", "there is room again")


class RequestContract:
    """A part of ``StoreContract``: give a fixture ``open_store`` as there."""

    @pytest.fixture
    def clock(self) -> SteppedClock:
        return SteppedClock()

    @pytest.fixture
    def store(self, open_store: Callable[[], BurstStore]) -> BurstStore:
        return open_store()

    def test_a_permit_is_written_once_whoever_asks_and_stands_for_all(
        self, open_store: Callable[[], BurstStore]
    ) -> None:
        one, two = open_store(), open_store()
        burst = BurstId("000000000001")

        assert [True, True, True, True] == [
            one.permit(burst, 1), one.permit(burst, 1), two.permit(burst, 1), two.permit(burst, 2),
        ]  # fmt: skip
        given = [r.detail["attempt"] for r in one.audit() if r.action == "permit"]
        assert [1, 2] == given

    def test_what_is_asked_back_is_never_permitted_and_what_is_permitted_never_asked_back(
        self, open_store: Callable[[], BurstStore]
    ) -> None:
        one, two = open_store(), open_store()
        back, away = one.record(plan(identity(1), identity(2)))

        assert two.request(back.id, RETURN)
        assert not one.permit(back.id, 1)
        assert one.permit(away.id, 1)
        assert not two.request(away.id, RETURN)
        assert {back.id: frozenset({RETURN})} == one.requests()

    def test_a_request_is_kept_once_and_audited_under_its_name(self, store: BurstStore) -> None:
        (burst,) = store.record(plan(identity(1)))
        later = replace(RETURN, by="root", why="no")
        cancel = Request(RequestKind.CANCEL, "alice")

        assert [True, True, True] == [store.request(burst.id, r) for r in (RETURN, later, cancel)]
        assert {RETURN, cancel} == store.requests()[burst.id]
        told = [(r.actor, r.action, r.subject) for r in store.audit() if r.actor != DAEMON]
        assert [
            ("bob", "operator.return", burst.id), ("alice", "operator.cancel", burst.id),
        ] == told  # fmt: skip

    def test_nothing_can_be_asked_of_a_burst_that_is_at_rest_or_back_once_it_ran(
        self, store: BurstStore
    ) -> None:
        (burst, other) = store.record(plan(identity(1), identity(2)))
        move(store, burst, ev.Refused("no"))
        held = move(store, other, ev.Broken("a fault"))
        kinds = [Request(kind, "root") for kind in RequestKind]

        assert [False] * 3 * len(RequestKind) == [
            store.request(id, r) for id in (burst.id, held.id, BurstId("nobody")) for r in kinds
        ]
        again = move(store, held, ev.Released("root", ""))
        for stage, checkpoint, never in (
            (Stage.PERMITTING, "USR1", {RequestKind.RETURN}),
            (Stage.PERMITTING, "", {RequestKind.RETURN, RequestKind.CHECKPOINT}),
            (Stage.ENDED, "USR1", {RequestKind.RETURN, RequestKind.CHECKPOINT}),
        ):
            before = replace(again, stage=stage, checkpoint=checkpoint)
            event = ev.Begun() if stage is Stage.ENDED else ev.Done()
            again = store.append(again, event, advance(before, event))
            asked = {r.kind for r in kinds if not store.request(again.id, r)}
            assert never == asked
