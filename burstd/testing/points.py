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


_STAGES = (
    "claiming", "claimed", "staging_in", "staged_in", "submitting", "submitted", "permitting",
    "running", "cancelling", "ended", "staging_out", "staged_out", "settling", "settled",
    "returning", "returned",
)  # fmt: skip
_REPORTS = ("hello", "staged_in", "staged_out", "refused", "recalled")


def _slurm(name: str, says: str, what: str, within: str = "") -> Effect:
    return Effect(name, "slurm", "run", says, what, within)


def _far(name: str, says: str, what: str) -> Effect:
    return Effect(name, "far", "run", says, what)


EFFECTS: tuple[Effect, ...] = (
    Effect("plan.recorded", "store", "record", r"^[1-9]", "new bursts, their money reserved"),
    Effect("wish.recorded", "store", "send_home", "", "a declined wish is to go home"),
    *(
        Effect(f"{stage}.recorded", "store", "append", f"^{stage}$", f"the move to {stage}")
        for stage in _STAGES
    ),
    Effect("permit.recorded", "store", "permit", "", "the one run permit"),
    *(
        Effect(f"{kind}.heard", "store", "report", f"^{kind}$", f"an agent's report {kind}")
        for kind in _REPORTS
    ),
    _slurm("claim.hold", "^scontrol hold ", "the job is held", "park"),
    _slurm("claim.move", r"^scontrol update \S+ partition=", "it is moved to the burst partition",
           "park"),
    _slurm("claim.tasks", r"^scontrol update \S+ numtasks=", "a job of several nodes is made one",
           "park"),
    _slurm("claim.mark", r"^scontrol update \S+ extra=burst", "the burst's id is left on it",
           "park"),
    _slurm("claim.release", "^scontrol release ", "the stand-in may start", "park"),
    _slurm("return.requeue", "^scontrol requeuehold ", "the stand-in is ended and held",
           "give_back"),
    _slurm("return.move", r"^scontrol update \S+ partition=", "its fields are put back",
           "give_back"),
    _slurm("return.unmark", r"^scontrol update \S+ extra=$", "the burst's id is taken off",
           "give_back"),
    _slurm("return.start", r"^scontrol update \S+ starttime=now", "it need not wait to start",
           "give_back"),
    _slurm("return.release", "^scontrol release ", "it may start at home", "give_back"),
    _slurm("settle.annotate", "^sacctmgr ", "accounting learns where it ran and what it cost"),
    Effect("link.up", "link", "ensure_up", "", "the link is up with fresh keys"),
    Effect("link.admitted", "gate", "run", " preshared-key ", "the gate knows the new keys"),
    Effect("link.withdrawn", "gate", "run", "^sh -c .* remove", "the gate forgets the keys"),
    Effect("link.down", "link", "ensure_down", "", "the link is down"),
    _far("far.program", r"cat > .*burst-far-\w+\.pyz", "the far end's program is uploaded"),
    _far("far.image", r"cat > .*\.sqfs", "the image is uploaded"),
    Effect("far.ticket", "far", "certify", "", "the agent's right to its run directory"),
    _far("far.submit", "^sbatch ", "the twin is submitted, held"),
    _far("far.start", "^scontrol release ", "the twin may start"),
    _far("far.cancel", "^scancel ", "the twin is cancelled"),
    _far("far.clean", " clean ", "the run directory is removed"),
)  # fmt: skip

BY_NAME = {effect.name: effect for effect in EFFECTS}


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
