"""Stories told by hand: what takes so many things at once that dice hardly ever bring it about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from tests.sim.calls import FAR_CHANGE, SLURM_CHANGE, SLURM_READ, STORE_CHANGE, TURN
from tests.sim.daemon import POLICY
from tests.sim.story import Move, Story
from tests.sim.workload import Order, Payload

CRASH, SCANCEL, REQUEUE = "slurm crash", "scancel", "requeue"
FORGETS, SHORT = 5, 3  #: as ``acts`` reads a crash's ``pick`` and size: all it may, and back soon


def story(*moves: Move, seconds: int = 40) -> Story:
    """One job in turns of a second."""
    policy = replace(POLICY, min_age=timedelta())
    return Story(0, policy, (Order("j0", 0, Payload(seconds)),), moves, turns=30, seconds=1)


def strangers() -> Iterator[Story]:
    """slurmctld forgets a submission that it acknowledged, and the next job gets its id: at each
    call of Slurm in the first seconds of a burst, before it and after it."""
    for kind, count in {SLURM_READ: 16, SLURM_CHANGE: 6}.items():
        for nth in range(count):
            for after in (False, True):
                for seconds in (0, SHORT):
                    yield story(Move(CRASH, kind, nth, FORGETS, seconds, after))


def returns_forgotten() -> Iterator[Story]:
    """A job was given back, one change of it slowly, and slurmctld forgets that: in each of the
    seconds thereafter."""
    for nth in (6, 8):
        slow = Move("slow", SLURM_CHANGE, nth, size=2)
        for turn in range(4, 14):
            crash = Move(CRASH, TURN, turn, FORGETS, SHORT)
            yield story(Move("asked back", TURN, 3), slow, crash)


def ends_forgotten() -> Iterator[Story]:
    """A job has ended, and slurmctld forgets that: its stand-in starts anew."""
    for turn in range(14, 26):
        yield story(Move(CRASH, TURN, turn, FORGETS, SHORT), seconds=2)


def submitted_twice() -> Iterator[Story]:
    """burstd is killed while a submission is in the air: its successor finds nothing, and submits;
    the first arrives when all is nearly over."""
    for nth in range(12, 19):
        late = Move("far late", FAR_CHANGE, 3, size=20)
        yield story(late, Move("killed before", STORE_CHANGE, nth, size=1), seconds=2)


def cancelled_in_the_dark() -> Iterator[Story]:
    """A job is ended while the line is cut: as soon as it is back the far end hears of it."""
    for turn in (5, 8):
        cut = Move("cut", TURN, turn, size=200)
        dark = story(cut, Move(SCANCEL, TURN, turn + 1), seconds=900)
        yield replace(dark, turns=80, seconds=10)


def never_landed() -> Iterator[Story]:
    """A job is cancelled, and killed before its results are home."""
    for turn in range(14, 24):
        away = Move("agents away", TURN, turn, size=60)
        yield replace(story(away, Move(SCANCEL, TURN, turn)), turns=60)


def inputs_missing() -> Iterator[Story]:
    """What can't leave comes home once, and stays there."""
    lacks = Order("j0", 0, Payload(5), missing="no mesh")
    yield replace(story(), orders=(lacks,))


def grown() -> Iterator[Story]:
    """A user asks for more just after money was reserved for the job."""
    for nth in range(6):
        small = Order("j0", 0, Payload(400), fields={"NumCPUs": "1"})
        told = story(Move("more cpus", SLURM_READ, nth))
        yield replace(told, orders=(small,), turns=60, seconds=10)


def holds_late() -> Iterator[Story]:
    """slurmctld works off a change long after burstd gave it up."""
    for nth in range(12):
        for seconds in (10, 20, 60):
            late = Move("late", SLURM_CHANGE, nth, size=seconds)
            yield story(Move("asked back", TURN, 3), late)


def ended_meanwhile() -> Iterator[Story]:
    """The stand-in is ended just before a change of it."""
    for nth in range(3, 12):
        asked = Move("asked back", TURN, 5)
        passes = Move("time passes", SLURM_CHANGE, nth, size=120)
        yield story(asked, Move(SCANCEL, SLURM_CHANGE, nth), passes)


def done_meanwhile() -> Iterator[Story]:
    """burstd is killed after it started the twin; when it is back the job is at home again by its
    user's hands, and the twin has come to its end."""
    for nth in range(1, 6):
        killed = Move("killed after", FAR_CHANGE, nth, size=5)
        for turn in range(14, 20):
            requeued, moved = Move(REQUEUE, TURN, turn), Move("other partition", TURN, turn)
            yield story(killed, requeued, moved, seconds=1)


def starts_forgotten() -> Iterator[Story]:
    """burstd is killed after it started the twin. While it is away both controllers crash: the far
    one forgets that it started it, and by the other's the claim counts for nothing any more."""
    killed = Move("killed after", FAR_CHANGE, 5, size=6)
    for turn in range(13, 19):
        crashes = [Move(c, TURN, turn, FORGETS, SHORT) for c in (CRASH, "far crash")]
        yield story(killed, *crashes, Move("room", TURN, turn + 4, size=100))


def starts_forgotten_and_cancelled() -> Iterator[Story]:
    """The same at the far end alone, and its administrator ends what waits there once more: the run
    itself goes on, or is over."""
    killed = Move("killed after", FAR_CHANGE, 5, size=12)
    for turn in range(13, 19):
        crash = Move("far crash", TURN, turn, FORGETS, SHORT)
        for later in (4, 5):
            yield story(killed, crash, Move("far admin", TURN, turn + later), seconds=4)


def asked_at_the_last_moment() -> Iterator[Story]:
    """An operator asks for the job around the moment in which its twin is permitted to start."""
    for nth in range(35, 42):
        for after in (False, True):
            yield story(Move("asked back", SLURM_READ, nth, after=after))


def submissions_forgotten() -> Iterator[Story]:
    """The inputs take long, so that the claim is durable before the work is submitted; then the far
    end forgets the submission."""
    for turn in range(12, 28):
        slow = Move("agents away", TURN, 2, size=10)
        yield story(slow, Move("far crash", TURN, turn, FORGETS, SHORT))


def answers_late() -> Iterator[Story]:
    """The target takes a submission that burstd had no answer to, and takes its time."""
    for nth in range(2, 6):
        for seconds in (5, 20, 60, 100):
            yield story(Move("far late", FAR_CHANGE, nth, size=seconds))


def clocks_set() -> Iterator[Story]:
    """Somebody sets burstd's clock by an hour while it waits for what must be durable."""
    for turn in range(2, 26, 2):
        for pick in (0, 2):  # back, forward
            slow = Move("agents away", TURN, 2, size=10)
            yield story(slow, Move("clock set", TURN, turn, pick))


def ended_at_the_last_moment() -> Iterator[Story]:
    """A job was given back, and runs or waits at home; an operator ends it around the moment in
    which its burst closes."""
    for room in ((Move("room", TURN, 6, size=100),), ()):
        for nth in range(30, 36):
            end = Move("asked to end", STORE_CHANGE, nth)
            yield story(Move("asked back", TURN, 3), *room, end)


def overtaken() -> Iterator[Story]:
    """Another daemon makes a whole turn just before a write: it is that of a loser, whatever was
    decided before."""
    for nth in range(16):
        other = Move("second daemon", TURN, 0, size=60)
        yield story(other, Move("overtaken", STORE_CHANGE, nth))


def ends_refused() -> Iterator[Story]:
    """As before, and slurmctld does not hear the first scancel."""
    for told in ended_at_the_last_moment():
        yield replace(told, moves=(*told.moves, Move("refused", SLURM_CHANGE, 10)))


def stories() -> Iterator[Story]:
    """All of them."""
    for kind in (
        strangers,
        returns_forgotten,
        ends_forgotten,
        submitted_twice,
        cancelled_in_the_dark,
        never_landed,
        inputs_missing,
        grown,
        holds_late,
        ended_meanwhile,
        done_meanwhile,
        starts_forgotten,
        starts_forgotten_and_cancelled,
        asked_at_the_last_moment,
        submissions_forgotten,
        answers_late,
        clocks_set,
        ended_at_the_last_moment,
        overtaken,
        ends_refused,
    ):
        yield from kind()
