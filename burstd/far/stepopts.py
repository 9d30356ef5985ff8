"""The command lines of srun, mpirun and mpiexec: what is passed on, changed, dropped, refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional

from burstd.far.stepwords import (
    DROPPED,
    FLAG,
    MAYBE,
    MPI_FLAG,
    MPI_VALUE,
    REFUSED,
    SRUN_LONG,
    SRUN_SHORT,
    VALUE,
)


class StepRefused(Exception):
    """A step that is not started, and why."""


@dataclass
class Step:
    """A step as it is to be started by the far end's srun."""

    options: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    cwd: Optional[str] = None
    streams: dict[str, str] = field(default_factory=dict)
    tasks: Optional[int] = None

    def take(self, name: str, value: Optional[str]) -> None:
        """One option of srun by its long name. Raises StepRefused."""
        if name in REFUSED:
            raise StepRefused(f"--{name} {REFUSED[name]}")
        if name in DROPPED:
            return
        if name == "chdir":
            self.cwd = value
        elif name in ("input", "output", "error"):
            self.streams[name] = value or ""
        elif name == "export":
            self._export(value or "")
        else:
            if name == "ntasks":
                self.tasks = _number("--ntasks", value)
            self.options.append(f"--{name}" if value is None else f"--{name}={value}")

    def _export(self, value: str) -> None:
        for setting in value.split(","):
            name, equals, content = setting.partition("=")
            if equals:
                self.env[name] = content


def parse(args: list[str], env: Mapping[str, str]) -> Step:
    """A shim's command line, its own name first, as a step. Raises StepRefused."""
    step = _srun(args[1:]) if args[0] == "srun" else _mpirun(args[1:], env)
    if not step.command:
        raise StepRefused("no program to run")
    return step


def _srun(args: list[str]) -> Step:
    step, rest = Step(), list(args)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        if word.startswith("--"):
            _srun_long(step, word[2:], rest)
        else:
            _srun_short(step, word[1:], rest)
    step.command = rest
    return step


def _srun_long(step: Step, word: str, rest: list[str]) -> None:
    name, equals, value = word.partition("=")
    kind = SRUN_LONG.get(name)
    if kind is None and not equals:
        raise StepRefused(f"--{name} is unknown to burstd's srun; write --{name}=VALUE")
    if equals and kind != FLAG:
        step.take(name, value)
    elif kind == VALUE:
        step.take(name, _next(rest, f"--{name}"))
    else:
        step.take(name, None)


def _srun_short(step: Step, letters: str, rest: list[str]) -> None:
    while letters:
        name = SRUN_SHORT.get(letters[0])
        if name is None:
            raise StepRefused(f"-{letters[0]} is unknown to burstd's srun")
        attached, kind = letters[1:], SRUN_LONG[name]
        if kind == FLAG:
            step.take(name, None)
            letters = attached
            continue
        if kind == MAYBE:
            step.take(name, attached.lstrip("=") or None)
        else:
            step.take(name, attached or _next(rest, f"-{letters[0]}"))
        return


def _mpirun(args: list[str], env: Mapping[str, str]) -> Step:
    step, rest = Step(), list(args)
    step.take("mpi", env.get("BURST_MPI") or env.get("SLURM_MPI_TYPE") or "pmix")
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        name, equals, value = word.lstrip("-").partition("=")
        if word == "--":
            break
        if name in MPI_FLAG:
            _mpi_flag(step, name)
            continue
        count = MPI_VALUE.get(name)
        if count is None:
            raise StepRefused(f"{word} is unknown to burstd's mpirun")
        first = value if equals else _next(rest, word)
        _mpi_value(step, name, first, _next(rest, word) if count == 2 else "", env)
    if ":" in rest:
        raise StepRefused("several programs in one mpirun (:) are not supported")
    step.command = rest
    return step


def _mpi_flag(step: Step, name: str) -> None:
    if name == "oversubscribe":
        step.take("overcommit", None)
    elif name in ("tag-output", "l", "prepend-rank"):
        step.take("label", None)


def _mpi_value(step: Step, name: str, first: str, second: str, env: Mapping[str, str]) -> None:
    if name in ("n", "np", "c"):
        step.take("ntasks", first)
    elif name in ("N", "npernode", "ppn", "perhost"):
        step.take("ntasks-per-node", first)
    elif name == "map-by":
        words = first.split(":")
        if words[0] == "ppr" and len(words) > 2 and words[2] == "node":
            step.take("ntasks-per-node", words[1])
    elif name in ("wdir", "wd"):
        step.take("chdir", first)
    elif name == "x":
        variable, equals, value = first.partition("=")
        step.env[variable] = value if equals else env.get(variable, "")
    elif name in ("genv", "env"):
        step.env[first] = second
    elif name == "mca":
        step.env[f"OMPI_MCA_{first}"] = second


def _next(rest: list[str], option: str) -> str:
    if not rest:
        raise StepRefused(f"{option} needs a value")
    return rest.pop(0)


def _number(option: str, value: Optional[str]) -> int:
    if value is None or not value.isdecimal() or not int(value):
        raise StepRefused(f"{option} needs a number")
    return int(value)
