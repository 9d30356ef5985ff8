"""What would have to change for a job to leave, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from burstd.domain.plan import Objection, Reason

#: The site's own budget among the names of all.
_SITE = "policy.budget"

#: What would have to change. What is not here nobody can change.
CURES: Mapping[Reason, str] = {
    Reason.BELOW_WATERMARK: "more of the queue has to wait, or lower policy.high",
    Reason.BELOW_PRICE: "wait: its worth grows, and the price falls as the month goes on",
    Reason.DAMPED: "nothing: it will start here soon enough; or lower policy.low",
    Reason.NOT_WAITING: "wait until Slurm says Resources or Priority, or add to policy.reasons",
    Reason.HELD: "release it: scontrol release",
    Reason.DEPENDENT: "the job that it waits for must end",
    Reason.OTHER_PARTITION: "submit it to one of policy.partitions, or add its partition there",
    Reason.OTHER_USER: "add its user to policy.users",
    Reason.OTHER_ACCOUNT: "add its account to policy.accounts",
    Reason.HETEROGENEOUS: "submit its components as jobs of their own",
    Reason.THROTTLED: "wait for running tasks, or scontrol update arraytaskthrottle=N",
    Reason.NO_TIME_LIMIT: "submit it with --time",
    Reason.NO_SCRIPT: "submit it with sbatch",
    Reason.SCRIPT_UNREAD: "wait for the next cycle",
    Reason.NO_APPLICATION: "name a profile in the script: #BURST app=NAME",
    Reason.USER_FORBIDS: "its user must take back that wish",
    Reason.UNLABELLED: "add a [[policy.labels]] that covers it, or set policy.unlabelled",
    Reason.UNKNOWN_CLASS: "name one of [policy.classes]",
    Reason.DATA_STAYS: "nothing, as long as its data are of these classes",
    Reason.OUTSIDE_WINDOW: "wait until bursting opens, or change policy.windows or blackouts",
    Reason.TOO_SMALL: "lower policy.min_core_hours",
    Reason.TOO_LARGE: "ask for less, or raise policy.max_cores or max_time",
    Reason.TOO_YOUNG: "wait, or lower policy.min_age",
    Reason.NO_TARGET_FITS: "what each target says; or add a target where it fits",
    Reason.NO_BUDGET: "wait for running bursts to settle or the next period; or raise the budget",
    Reason.BAD_DIRECTIVE: "its user must say it as docs/policy.md has it",
    Reason.SOONER_HERE: "nothing; or set policy.veto = false",
    Reason.TOO_DEAR: "its user must allow more: #BURST max-cost=AMOUNT",
    Reason.STEP: "wait for the next cycle, or raise policy.step",
    Reason.COOLING: "wait until policy.cooldown is over, or lower it",
    Reason.SOFT_MARK: "wait for bursts to settle or the next period, or raise its soft mark",
    Reason.TOO_MANY_OPEN: "wait until bursts end, or raise policy.max_open_bursts",
    Reason.FROZEN: "an operator must say burst thaw",
    Reason.PACED: "wait for the next cycle, or raise policy.max_new_per_tick",
    Reason.ABANDONED: "submit it again",
    Reason.RETURNED_BEFORE: "submit it again",
    Reason.REFUSED_LATELY: "mend what its last burst says",
    Reason.LICENCES: "wait until they are given back, or ask for fewer",
    Reason.LICENCES_UNSEEN: "its licence server must answer: burst doctor",
    Reason.GPUS: "submit it without these, or let a target offer GPUs (settings.max_gpus)",
}


def cure(why: Objection) -> str:
    """Of this objection, by its numbers; empty: nobody can change it."""
    reason, numbers = why
    if reason is Reason.NO_BUDGET and {"budget", "of", "worst_case"} <= numbers.keys():
        return _of_money(numbers)
    if reason is Reason.BELOW_WATERMARK and "pressure" in numbers:
        high = f"policy.pressures.{numbers['pressure']}.high"
        return f"more of its part of the queue has to wait, or lower {high}"
    if reason is Reason.LICENCES and "free" not in numbers:
        return _of_licences(numbers.get("cause", ""))
    return CURES.get(reason, "")


def _of_licences(cause: str) -> str:
    """Where waiting does not help."""
    if not cause:
        return "ask for fewer: bursts may have no more of them"
    if cause.startswith("Slurm keeps it"):
        return "name all that it needs of it by sbatch -L"
    if cause.endswith("can't be read"):
        return "write them as sbatch -L takes them: NAME:COUNT,..."
    return "add a [licences.*] that counts it, or don't ask for it"


def _of_money(numbers: Mapping[str, str]) -> str:
    name, (amount, _, period) = numbers["budget"], numbers["of"].partition("/")
    if (foreign := numbers.get("spent_in")) is not None:
        return f"wait for the next {period}: what it paid in {foreign} can't be held against it"
    raised = f"raise {name if name == _SITE else f'policy.budgets.{name}'}"
    worst, most = (Decimal(text.split()[0]) for text in (numbers["worst_case"], amount))
    if worst > most:
        return f"ask for less, or {raised}: all of it would not do"
    return f"wait for running bursts to settle or the next {period}; or {raised}"
