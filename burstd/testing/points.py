"""The points at which burstd can be killed: just before and just after every effect it has.

One table, one row per effect. A record is an effect too: before ``claiming.recorded`` is before
the intent, after it is after the intent; after ``claim.release`` is after the effect, and after
``claimed.recorded`` is after the fact is written down.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

BEFORE, AFTER = "before", "after"


@dataclass(frozen=True)
class Effect:
    """A call at a seam that changes something.

    ``seam``: its name at the composition root; ``says``: a pattern on what the call says (see
    ``burstd.testing.doomed``); ``within``: the queue's method under way, if that matters.
    """

    name: str
    seam: str
    call: str
    says: str
    what: str
    within: str = ""

    def is_this(self, seam: str, call: str, said: str, within: str) -> bool:
        """True for a call that has this effect."""
        same = (seam, call) == (self.seam, self.call) and self.within in ("", within)
        return same and re.search(self.says, said) is not None


def _moved(stage: str) -> Effect:
    return Effect(f"{stage}.recorded", "store", "append", f"^{stage}$", f"the move to {stage}")


def _heard(kind: str) -> Effect:
    return Effect(f"{kind}.heard", "store", "report", f"^{kind}$", f"an agent's report {kind}")


def _claim(name: str, says: str, what: str) -> Effect:
    return Effect(f"claim.{name}", "slurm", "run", f"^scontrol {says}", what, "park")


def _return(name: str, says: str, what: str) -> Effect:
    return Effect(f"return.{name}", "slurm", "run", f"^scontrol {says}", what, "give_back")


def _far(name: str, says: str, what: str) -> Effect:
    return Effect(f"far.{name}", "far", "run", says, what)


#: In the order in which a run of the campaign comes to them: some jobs go home early, one is
#: cancelled while it runs.
EFFECTS: tuple[Effect, ...] = (
    Effect("plan.recorded", "store", "record", r"^[1-9]", "new bursts, their money reserved"),
    Effect("wish.recorded", "store", "send_home", "", "a declined wish is to go home"),
    _moved("claiming"),
    _claim("hold", "hold ", "the job is held"),
    _claim("move", r"update \S+ partition=", "it is moved to the burst partition"),
    _claim("tasks", r"update \S+ numtasks=", "a job of several nodes is made one of one"),
    _claim("mark", r"update \S+ extra=burst", "the burst's id is left on it"),
    _claim("release", "release ", "the stand-in may start"),
    _heard("hello"),
    _moved("claimed"),
    _return("requeue", "requeuehold ", "the stand-in is ended and held"),
    _return("move", r"update \S+ partition=", "its fields are put back"),
    _return("unmark", r"update \S+ extra=$", "the burst's id is taken off"),
    _return("start", r"update \S+ starttime=now", "it need not wait to start"),
    _return("release", "release ", "it may start at home"),
    _moved("staging_in"),
    Effect("link.up", "link", "ensure_up", "", "the link is up with fresh keys"),
    Effect("link.admitted", "gate", "run", " preshared-key ", "the gate knows the new keys"),
    _far("program", r"cat > .*burst-far-\w+\.pyz", "the far end's program is uploaded"),
    _far("image", r"cat > .*\.sqfs", "the image is uploaded"),
    _heard("refused"),
    _moved("returning"),
    Effect("far.ticket", "far", "certify", "", "the agent has its right to the run directory"),
    _heard("staged_in"),
    _moved("staged_in"),
    _moved("submitting"),
    _far("submit", "^sbatch ", "the twin is submitted, held"),
    _moved("submitted"),
    _moved("returned"),
    _moved("permitting"),
    Effect("permit.recorded", "store", "permit", "", "the one run permit"),
    _far("start", "^scontrol release ", "the twin may start"),
    _moved("running"),
    _heard("recalled"),
    _moved("cancelling"),
    _far("cancel", "^scancel ", "the twin is cancelled"),
    _moved("ended"),
    _moved("staging_out"),
    _heard("staged_out"),
    _moved("staged_out"),
    _moved("settling"),
    _far("clean", " clean ", "the run directory is removed"),
    Effect("settle.annotate", "slurm", "run", "^sacctmgr ", "accounting has place and cost"),
    _moved("settled"),
    Effect("link.withdrawn", "gate", "run", "^sh -c .* remove", "the gate forgets the keys"),
    Effect("link.down", "link", "ensure_down", "", "the link is down"),
)


@dataclass(frozen=True)
class Point:
    """The ``nth`` time that burstd stands before or after an effect. Written ``claim.hold.after``
    or ``claim.hold.after:2``."""

    effect: str
    when: str
    nth: int = 1

    @classmethod
    def parse(cls, text: str) -> Point:
        """Raises ``ValueError`` for a point that is not in the table."""
        label, _, nth = text.partition(":")
        effect, _, when = label.rpartition(".")
        if label not in LABELS or not (nth or "1").isdigit() or int(nth or 1) < 1:
            raise ValueError(
                f"{text!r} is no point; python -m burstd.testing.points lists them, and :2 "
                "behind one means the second time"
            )
        return cls(effect, when, int(nth or 1))

    @property
    def label(self) -> str:
        return f"{self.effect}.{self.when}"

    def __str__(self) -> str:
        return self.label if self.nth == 1 else f"{self.label}:{self.nth}"


LABELS = tuple(f"{effect.name}.{when}" for effect in EFFECTS for when in (BEFORE, AFTER))


def table() -> Iterator[str]:
    """The rows of ``docs/faults.md``."""
    yield "| effect | what has happened after it |"
    yield "|---|---|"
    for effect in EFFECTS:
        yield f"| `{effect.name}` | {effect.what} |"


if __name__ == "__main__":
    sys.stdout.write("".join(f"{label}\n" for label in LABELS))
