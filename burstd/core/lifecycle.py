"""The burst's state machine.

Constitution: every move of a burst is a row of ``TRANSITIONS``; a missing row *is* the error;
nothing else in burstd asks ``if stage is``. ``Deferred`` moves nothing: it only waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from types import MappingProxyType

from burstd.domain import events as ev
from burstd.domain.burst import Burst, Stage
from burstd.domain.events import Event


class History(Enum):
    """Statecharts' history state: where the burst was before it was quarantined."""

    LAST = "where_it_was"


Row = Mapping[type[Event], Stage | History]


class IllegalTransition(Exception):
    """An event arrived in a stage that cannot take it: a bug, or a second writer."""

    def __init__(self, burst: Burst, event: Event) -> None:
        super().__init__(f"burst {burst.id}: {type(event).__name__} in {burst.stage.name}")
        self.burst = burst
        self.event = event


_STOP: Row = {ev.Broken: Stage.QUARANTINED, ev.Quarantined: Stage.QUARANTINED}
_GO_HOME: Row = {ev.Refused: Stage.RETURNING, ev.Recalled: Stage.CANCELLING, **_STOP}
#: Results exist: running the job again is the wrong cure, so a refusal calls a human.
_CALL_A_HUMAN: Row = {ev.Refused: Stage.QUARANTINED, **_STOP}

TRANSITIONS: Mapping[Stage, Row] = MappingProxyType(
    {
        Stage.PLANNED: {
            ev.Kept: Stage.CLAIMING,
            ev.Refused: Stage.RETURNED,  # nothing was touched yet
            ev.Recalled: Stage.RETURNED,
            **_STOP,
        },
        Stage.CLAIMING: {ev.Claimed: Stage.CLAIMED, **_GO_HOME},
        Stage.CLAIMED: {ev.Begun: Stage.STAGING_IN, **_STOP},
        Stage.STAGING_IN: {ev.Done: Stage.STAGED_IN, **_GO_HOME},
        Stage.STAGED_IN: {ev.Begun: Stage.SUBMITTING, **_STOP},
        Stage.SUBMITTING: {ev.Accepted: Stage.SUBMITTED, **_GO_HOME},
        Stage.SUBMITTED: {
            ev.Done: Stage.PERMITTING,
            ev.Reclaimed: Stage.SUBMITTED,
            ev.Accepted: Stage.SUBMITTED,  # seen again: its durability barrier starts anew
            ev.Vanished: Stage.SUBMITTING,
            **_GO_HOME,
        },
        # A permit given can't be taken back by refusing: only the twin's proven end opens the way.
        Stage.PERMITTING: {
            ev.Done: Stage.RUNNING,
            ev.Recalled: Stage.CANCELLING,
            ev.Refused: Stage.RETURNING,
            **_STOP,
        },
        Stage.RUNNING: {
            ev.Started: Stage.RUNNING,
            ev.Signalled: Stage.RUNNING,
            ev.Ended: Stage.ENDED,
            ev.Unbegun: Stage.RETURNING,  # nothing ran: its job may begin at home
            ev.Recalled: Stage.CANCELLING,
            **_CALL_A_HUMAN,
        },
        Stage.CANCELLING: {ev.Ended: Stage.ENDED, **_CALL_A_HUMAN},
        Stage.ENDED: {ev.Begun: Stage.STAGING_OUT, **_STOP},
        Stage.STAGING_OUT: {
            ev.Granted: Stage.STAGING_OUT,
            ev.Done: Stage.STAGED_OUT,
            ev.Skipped: Stage.STAGED_OUT,
            **_CALL_A_HUMAN,
        },
        Stage.STAGED_OUT: {ev.Begun: Stage.SETTLING, **_STOP},
        Stage.SETTLING: {
            ev.Requeued: Stage.SETTLING,
            ev.Over: Stage.SETTLING,
            ev.Settled: Stage.SETTLED,
            **_CALL_A_HUMAN,
        },
        Stage.RETURNING: {
            ev.Over: Stage.RETURNING,
            ev.Done: Stage.RETURNED,
            ev.Ended: Stage.ENDED,  # it came to its own end first: its results are the job's
            **_CALL_A_HUMAN,
        },
        Stage.SETTLED: {ev.Fetched: Stage.SETTLED, ev.Cleared: Stage.SETTLED},
        Stage.RETURNED: {},
        Stage.QUARANTINED: {ev.Released: History.LAST, ev.Abandoned: Stage.ABANDONED},
        Stage.ABANDONED: {},
    }
)


def _goes_home(stage: Stage) -> bool:
    row = TRANSITIONS[stage]
    begun = row.get(ev.Begun)
    if isinstance(begun, Stage):
        return _goes_home(begun)
    return row.get(ev.Refused) in {Stage.RETURNING, Stage.RETURNED}


#: As long as no permit is given, a burst at one of these can still be given back.
RETURNABLE = frozenset(stage for stage in Stage if _goes_home(stage)) | {Stage.RETURNING}


def advance(burst: Burst, event: Event) -> Burst:
    """Return the burst after ``event``; pure.

    Raises ``IllegalTransition`` where the table has no row; the burst is left as it was.
    """
    if isinstance(event, ev.Deferred) and not burst.stage.at_rest:
        return burst.delayed_until(event.due_at, event.cause)
    to = TRANSITIONS[burst.stage].get(type(event))
    stage = burst.quarantined_at if to is History.LAST else to
    if not isinstance(stage, Stage):
        raise IllegalTransition(burst, event)
    moved = _with_evidence(burst.moved_to(stage), event)
    return replace(
        moved,
        submit_intended=moved.submit_intended or stage is Stage.SUBMITTING,
        quarantined_at=burst.stage if stage is Stage.QUARANTINED else None,
    )


def _with_evidence(moved: Burst, event: Event) -> Burst:
    match event:
        case ev.Kept(record) | ev.Requeued(record):
            return replace(moved, record=record, cores=record.shape.cpus, gpus=record.shape.gpus)
        case ev.Claimed(epoch) | ev.Reclaimed(epoch):
            return replace(moved, claim=epoch)
        case ev.Accepted(remote_id, epoch):
            return replace(moved, remote_id=remote_id, remote=epoch)
        case ev.Vanished(cause):
            return replace(moved, remote_id=None, remote=None, cause=cause)
        case (
            ev.Started() | ev.Ended() | ev.Settled() | ev.Refused()
        ):  # whose fields are the burst's own
            return replace(moved, **vars(event))
        case ev.Signalled(cause):
            return replace(moved, stopping=True, cause=cause)
        case ev.Over(epoch):
            return replace(moved, over=epoch)
        case ev.Granted() | ev.Abandoned():
            return _as_judged(moved, event)
        case (
            ev.Recalled() | ev.Unbegun() | ev.Skipped() | ev.Broken() | ev.OperatorEvent()
        ):  # fmt: skip
            return replace(moved, cause=event.cause)
    return _with_remains(moved, event)


def _as_judged(moved: Burst, event: ev.Granted | ev.Abandoned) -> Burst:
    judged = replace(moved, cause=event.cause)
    if isinstance(event, ev.Abandoned):
        return replace(judged, cost=event.cost)
    return replace(judged, most_output=event.most_output, reserved=event.reserved)


def _with_remains(moved: Burst, event: Event) -> Burst:
    if isinstance(event, ev.Cleared):
        return replace(moved, remains=None)
    if isinstance(event, ev.Fetched):
        later = moved.remains and replace(moved.remains, until=event.until)
        return replace(moved, fetches=(*moved.fetches, event.fetch), remains=later)
    return moved
