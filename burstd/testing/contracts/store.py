"""What every ``ports.store.BurstStore`` must keep; most of it with two writers on one ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from burstd.core.audit import verify
from burstd.core.lifecycle import advance
from burstd.domain import events as ev
from burstd.domain.audit import DAEMON, NOTHING, AuditHead
from burstd.domain.burst import BurstId, Epoch, Stage
from burstd.domain.jobs import CoreHours, JobKey
from burstd.domain.plan import Decline, Plan, Reason
from burstd.domain.policy import QUEUE
from burstd.domain.reasons import Step
from burstd.domain.requests import Request, RequestKind
from burstd.domain.targets import Money, Outcome, RemoteId
from burstd.ports.store import BurstStore, StaleBurst
from burstd.testing.bursts import identity, money, move, plan, record, settled
from burstd.testing.clock import SteppedClock
from burstd.testing.contracts.keys import KeyContract
from burstd.testing.contracts.money import MoneyContract
from burstd.testing.contracts.reports import ReportContract
from burstd.testing.contracts.requests import RequestContract

RETURN = Request(RequestKind.RETURN, "bob", "there is room again")


class StoreContract(RequestContract, ReportContract, KeyContract, MoneyContract):
    """Give a fixture ``open_store``: each call opens one more writer on the same ledger, whose time
    is ``clock``'s."""

    # --- bursts

    def test_a_placed_job_has_one_open_burst_however_often_it_is_placed(
        self, open_store: Callable[[], BurstStore]
    ) -> None:
        one, two = open_store(), open_store()
        (burst,) = one.record(plan(identity(1)))

        assert () == one.record(plan(identity(1)))
        assert () == two.record(plan(identity(1)))
        assert (burst,) == two.open_bursts() == two.bursts(identity(1).key)

    def test_why_it_left_is_kept_with_its_burst(self, open_store: Callable[[], BurstStore]) -> None:
        said = (
            Step("user", True, "", {"user": "alice", "by": "1"}),
            Step("ünïcode", False, "no\nway"),
        )
        store = open_store()
        made = store.record(plan(identity(1), identity(2)), {identity(1).key: said})

        read = [open_store().reasons(burst.id) for burst in made]
        assert [said, ()] == read
        assert ["user", "by"] == [*read[0][0].numbers], "in the order in which it was said"
        assert () == store.reasons(BurstId("no such"))
        assert verify(store.audit()) == store.head()

    def test_elements_of_an_array_and_the_job_itself_are_three_jobs(
        self, store: BurstStore
    ) -> None:
        made = store.record(plan(identity(1), identity(1, 0), identity(1, 1)))

        assert 3 == len(made)
        assert (made[1],) == store.bursts(JobKey("onprem", 1, 0))

    def test_a_final_burst_makes_room_for_another(
        self, store: BurstStore, clock: SteppedClock
    ) -> None:
        (first,) = store.record(plan(identity(1)))
        settled(store, first, clock, "0.10")
        (second,) = store.record(plan(identity(1)))

        assert first.id != second.id
        assert (second,) == store.open_bursts()

    def test_licences_stay_booked_until_their_burst_is_over(
        self, open_store: Callable[[], BurstStore], clock: SteppedClock
    ) -> None:
        store = open_store()
        (first,) = store.record(plan(identity(1), abaqus=12))
        (second,) = store.record(plan(identity(2), abaqus=5, cae=1))
        move(store, second, ev.Broken("a human must look"))

        assert {"abaqus": 17, "cae": 1} == open_store().ledger().booked
        settled(store, first, clock, "0.10")
        assert {"abaqus": 5, "cae": 1} == store.ledger().booked

    def test_a_burst_is_written_and_read_with_all_its_evidence(
        self, store: BurstStore, clock: SteppedClock
    ) -> None:
        (burst,) = store.record(plan(identity(1, 3, name="two\nlines|ünïcode")))
        burst = move(store, burst, ev.Kept(record(burst.identity)))
        burst = move(store, burst, ev.Claimed(Epoch("7", clock.uptime())))
        for event in (ev.Begun(), ev.Done(), ev.Begun()):
            burst = move(store, burst, event)
        burst = move(store, burst, ev.Accepted(RemoteId("12"), Epoch("9", clock.uptime())))
        burst = move(store, burst, ev.Recalled("cancelled"))
        outcome = Outcome("signalled", None, 9, timedelta(seconds=90.5), "OOM")
        burst = move(store, burst, ev.Ended(outcome))

        assert burst == store.burst(burst.id)
        assert (outcome, True) == (burst.outcome, burst.submit_intended)

    def test_a_move_from_a_version_that_is_gone_is_stale_and_changes_nothing(
        self, open_store: Callable[[], BurstStore]
    ) -> None:
        one, two = open_store(), open_store()
        (burst,) = one.record(plan(identity(1)))
        moved = move(one, burst, ev.Kept(record(burst.identity)))

        with pytest.raises(StaleBurst):
            move(two, burst, ev.Refused("late"))
        assert moved == two.burst(burst.id)
        assert 2 == len(two.journal(burst.id))

    def test_waiting_counts_as_a_move(self, open_store: Callable[[], BurstStore]) -> None:
        one, two = open_store(), open_store()
        (burst,) = one.record(plan(identity(1)))
        deferred = ev.Deferred(burst.created_at + timedelta(seconds=2), "away")
        move(one, burst, deferred)

        with pytest.raises(StaleBurst):
            move(two, burst, deferred)

    def test_a_burst_is_not_closed_while_somebody_asks_unheard_to_end_its_job(
        self, open_store: Callable[[], BurstStore]
    ) -> None:
        one, two = open_store(), open_store()
        (burst,) = one.record(plan(identity(1)))
        assert two.request(burst.id, Request(RequestKind.CANCEL, "alice"))
        refused = ev.Refused("late")
        closed = advance(burst, refused)
        assert closed.stage.final

        with pytest.raises(StaleBurst):
            one.append(burst, refused, closed, frozenset())
        assert burst == two.burst(burst.id)
        assert closed.stage is one.append(burst, refused, closed, {RequestKind.CANCEL}).stage

    def test_the_journal_tells_each_event_once_in_order(
        self, store: BurstStore, clock: SteppedClock
    ) -> None:
        (burst,) = store.record(plan(identity(1)))
        clock.forward(seconds=5)
        burst = move(store, burst, ev.Kept(record(burst.identity)))
        move(store, burst, ev.Refused("a site's rule"))
        told = [(e.event, e.stage, e.detail) for e in store.journal(burst.id)]

        assert [
            ("Planned", "planned", ""),
            ("Kept", "claiming", ""),
            ("Refused", "returning", "a site's rule"),
        ] == told
        assert clock.now() == store.journal(burst.id)[-1].at

    def test_a_declined_wish_opens_one_return_and_may_burst_later(
        self, open_store: Callable[[], BurstStore]
    ) -> None:
        one, two = open_store(), open_store()
        burst = one.send_home(record(identity(1)), "no profile")

        assert burst == two.send_home(record(identity(1)), "again")
        assert (Stage.RETURNING, "no profile") == (burst.stage, burst.cause)
        move(one, burst, ev.Done())
        assert (frozenset(), frozenset()) == (two.ledger().open, two.ledger().returned)

    def test_what_came_back_is_not_placed_again_by_who_has_not_heard_of_it(
        self, open_store: Callable[[], BurstStore]
    ) -> None:
        one, two = open_store(), open_store()
        (burst,) = one.record(plan(identity(1)))
        stopped = replace(burst, stage=Stage.SETTLING, stopping=True)
        move(one, burst, ev.Refused("no", asked_back=True))
        (other,) = one.record(plan(identity(2)))
        end = ev.Settled(0.5, Money(Decimal("0.1")))
        one.append(other, end, advance(replace(stopped, id=other.id, identity=identity(2)), end))

        assert {identity(1).key, identity(2).key} == two.ledger().returned
        assert () == two.record(plan(identity(1), identity(2)))

    def test_a_number_that_slurm_gave_to_another_user_is_free_again(
        self, open_store: Callable[[], BurstStore]
    ) -> None:
        one, two = open_store(), open_store()
        back, left = one.record(plan(identity(1), identity(2)))
        move(one, back, ev.Refused("no", asked_back=True))
        held = move(one, left, ev.Broken("a human must look"))
        move(one, held, ev.Abandoned("root", "no use", Money(Decimal(0))))
        assert dict.fromkeys((identity(1).key, identity(2).key), "alice") == two.ledger().owners

        bob = replace(identity(1), user="bob")
        (other,) = two.record(plan(bob))
        assert () == one.record(plan(bob))
        move(one, other, ev.Refused("no", asked_back=True))
        assert "bob" == two.ledger().owners[bob.key]
        assert () == one.record(plan(bob))

    def test_what_was_refused_untouched_may_leave_again_later_and_ever_later(
        self, open_store: Callable[[], BurstStore], clock: SteppedClock
    ) -> None:
        for minutes in (10, 20, 40):
            one, two = open_store(), open_store()
            (burst,) = one.record(plan(identity(1)))
            move(one, burst, ev.Refused("its user holds it"))
            clock.forward(seconds=60 * minutes - 1)
            assert ([burst.job], []) == ([*two.ledger().refused], [*two.ledger().returned])
            assert "alice" == two.ledger().owners[burst.job]
            clock.forward(seconds=1)
            assert frozenset() == two.ledger().refused

    def test_what_was_refused_of_an_earlier_job_of_its_number_bars_nobody(
        self, open_store: Callable[[], BurstStore], clock: SteppedClock
    ) -> None:
        store = open_store()
        (burst,) = store.record(plan(identity(1)))
        move(store, burst, ev.Refused("no", asked_back=True))
        clock.forward(seconds=1)
        (other,) = store.record(plan(replace(identity(1), user="bob")))
        move(store, other, ev.Refused("its user holds it"))
        ledger = store.ledger()

        assert ([], [other.job]) == ([*ledger.returned], [*ledger.refused])
        assert {other.job: "bob"} == ledger.owners

    # --- verdicts

    def test_a_verdict_is_the_last_one_and_counts_for_an_array_too(
        self, open_store: Callable[[], BurstStore]
    ) -> None:
        store = open_store()
        keys = (JobKey("onprem", 1, 0), JobKey("onprem", 1, 1))
        for reason in (Reason.TOO_YOUNG, Reason.PACED):
            store.note(
                Plan(
                    CoreHours(0), frozenset(), (), (Decline(identity(1), reason, {}, False, keys),)
                )
            )

        for asked in (*keys, JobKey("onprem", 1)):
            verdict = open_store().verdict(asked)
            assert verdict is not None
            assert (Reason.PACED.value, "alice", False) == (
                verdict.text, verdict.user, verdict.placed,
            )  # fmt: skip
        assert store.verdict(JobKey("onprem", 2)) is None
        assert () == store.bursts()

    def test_every_event_and_permit_is_one_link_of_the_chain(
        self, open_store: Callable[[], BurstStore]
    ) -> None:
        one, two = open_store(), open_store()
        (burst,) = one.record(plan(identity(1)))
        burst = move(two, burst, ev.Kept(record(burst.identity)))
        one.permit(burst.id, 1)
        one.permit(burst.id, 1)
        move(one, burst, ev.Refused("no"))
        one.tell("effect.hold", burst.id, {"job": "1"})
        records = two.audit()

        actions = [
            "burst.Planned", "decision", "burst.Kept", "permit", "burst.Refused", "effect.hold",
        ]  # fmt: skip
        assert actions == [r.action for r in records]
        assert {burst.id} == {r.subject for r in records if r.action != "decision"}
        assert ("1", "cloud", "0.10") == tuple(
            records[0].detail[name] for name in ("job", "target", "reserved")
        )
        assert [burst.id] == records[1].detail["placed"]
        assert 6 == verify(records).seq
        assert records[2:3] == one.audit(after=2, most=1)

    def test_a_decision_is_told_when_it_places_or_turns_the_surge_and_else_not(
        self, store: BurstStore
    ) -> None:
        stays = Decline(identity(1), Reason.TOO_YOUNG, {}, False, (identity(1).key,))
        quiet = Plan(CoreHours(0), frozenset(), (), (stays,))
        for one in (quiet, plan(), plan(), quiet, quiet, plan(identity(1)), plan(identity(1))):
            store.record(one)
        told = [r.detail for r in store.audit() if r.action == "decision"]

        assert [True, False, True] == [detail["surging"] for detail in told]
        assert [{}, {"too_young": 1}, {}] == [detail["declined"] for detail in told]

    def test_a_frozen_ledger_begins_no_burst_whoever_planned_it(
        self, open_store: Callable[[], BurstStore]
    ) -> None:
        one, two = open_store(), open_store()
        one.freeze("root", "cloud maintenance")

        assert "root" in two.ledger().frozen
        assert "cloud maintenance" in two.ledger().frozen
        assert not two.ledger().closed
        one.freeze("root", "no more", close=True)
        assert ("no more" in two.ledger().frozen, True) == (True, two.ledger().closed)
        assert () == two.record(plan(identity(1))) == two.bursts()
        two.thaw("bob")
        two.thaw("bob")
        assert ("", False) == (one.ledger().frozen, one.ledger().closed)
        assert 1 == len(one.record(plan(identity(1))))
        told = [(r.actor, r.action) for r in one.audit() if r.actor != DAEMON]
        freeze, thaw = ("root", "operator.freeze"), ("bob", "operator.thaw")
        assert [freeze, freeze, thaw] == told
        assert len(one.audit()) == verify(one.audit()).seq

    # --- suspicion

    def test_a_head_is_vouched_for_if_it_is_on_the_chain(
        self, open_store: Callable[[], BurstStore]
    ) -> None:
        one, two = open_store(), open_store()
        assert (NOTHING, True) == (one.head(), one.vouches(NOTHING))
        one.freeze("root", "")
        first = two.head()
        one.thaw("root")

        assert (2, True, True) == (two.head().seq, two.vouches(first), two.vouches(one.head()))
        for foreign in (replace(first, digest="f" * 64), replace(first, seq=2), AuditHead(3, "a")):
            assert not two.vouches(foreign)

    def test_a_suspicion_lasts_until_it_is_accepted_and_is_told_once(
        self, open_store: Callable[[], BurstStore]
    ) -> None:
        one, two = open_store(), open_store()
        foreign, farther = AuditHead(7, "f" * 64), AuditHead(9, "e" * 64)
        one.suspect("cloud", foreign)
        one.suspect("cloud", foreign)
        one.suspect("a file", farther)

        assert "cloud remembers record 7" in two.ledger().suspect
        assert "a file remembers record 9" in two.ledger().suspect
        two.accept("root")
        two.accept("root")
        assert "" == one.ledger().suspect
        assert [True, True, False] == [
            one.vouches(head) for head in (foreign, farther, AuditHead(10, "d" * 64))
        ]
        assert ["ledger.suspected", "ledger.suspected", "operator.accept"] == [
            record.action for record in one.audit()
        ]

    # --- the ledger

    def test_a_quarantined_burst_keeps_its_job_and_its_money_bound(self, store: BurstStore) -> None:
        (burst,) = store.record(plan(identity(1)))
        held = move(store, burst, ev.Broken("a fault"))

        assert (identity(1).key,) == tuple(store.ledger().open)
        assert Decimal("0.10") == store.ledger().reserved
        assert ((held,), ()) == (store.quarantined(), store.open_bursts())
        again = move(store, held, ev.Released("root", "mended"))
        assert ((), (again,)) == (store.quarantined(), store.open_bursts())
        assert ("root", "burst.Released") == (store.audit()[-1].actor, store.audit()[-1].action)

    def test_an_abandoned_burst_has_cost_what_it_may_have_and_binds_its_job_for_ever(
        self, store: BurstStore, clock: SteppedClock
    ) -> None:
        (burst,) = store.record(plan(identity(1)))
        held = move(store, burst, ev.Broken("a fault"))
        move(store, held, ev.Abandoned("root", "", Money(Decimal("0.07"))))

        assert (Decimal("0.07"), Decimal(0)) == money(store)
        for _ in range(2):
            ledger = store.ledger()
            assert (frozenset({identity(1).key}), frozenset()) == (ledger.abandoned, ledger.open)
            clock.forward(days=31)
        assert Decimal(0) == store.ledger().spent

    def test_a_returned_job_is_remembered_and_so_is_the_surge(
        self, open_store: Callable[[], BurstStore]
    ) -> None:
        store = open_store()
        (burst,) = store.record(plan(identity(1, 4)))
        move(store, burst, ev.Refused("no", asked_back=True))
        ledger = open_store().ledger()

        assert (frozenset({identity(1, 4).key}), frozenset[JobKey](), frozenset({QUEUE})) == (
            ledger.returned, ledger.open, ledger.surging,
        )  # fmt: skip
        store.record(plan(surging=False))
        assert not open_store().ledger().surging
