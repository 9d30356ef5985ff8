"""Where a pool's state comes from: what licence servers and Slurm write, and what is made of it."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest

from burstd.adapters.licences import flexnet, lmx
from burstd.adapters.licences.command import LONGEST_ANSWER, PARSERS, CommandSource, Feature
from burstd.adapters.licences.counts import Count
from burstd.adapters.slurm import licences as slurm
from burstd.domain.licences import Pool
from burstd.ports.errors import Unreachable

DATA = Path(__file__).resolve().parent.parent / "data" / "licences"
FORMATS = ("flexnet", "rlm", "lmx")


def answer(name: str) -> str:
    return (DATA / f"{name}.txt").read_text()


# --- what the three licence managers write


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (
            "flexnet",
            {
                "abaqus": Count(50, 26),  # reservations are in use
                "cae": Count(4, 1),
                "viewer": Count(1, 0),
                "anshpc": Count(128, 112),
                "MSCONE": Count(750, 755),  # an overdraft
                "meshing": Count(4, 3),  # of two servers the one that has less
            },
        ),
        (
            "rlm",
            {
                "converge": Count(45, 0),
                "converge_super": Count(1000, 157),  # reserved, and used
                "viewer": Count(22, 20),  # of two versions the one that has less
            },
        ),
        (
            "lmx",
            {
                "CatiaV5Reader": Count(3, 0),
                "GlobalZoneEU": Count(1000003, 40000),
                "HWActivate": Count(2147483647, 0),
                "HyperWorks": Count(1000000, 975000),
            },
        ),
    ],
)
def test_a_feature_has_the_counts_that_its_server_tells(
    form: str, expected: dict[str, Count]
) -> None:
    assert expected == PARSERS[form](answer(form))
    assert expected == PARSERS[form](answer(form).replace("\n", "\r\n"))


@pytest.mark.parametrize("form", FORMATS)
def test_a_server_that_is_away_tells_of_nothing(form: str) -> None:
    assert {} == PARSERS[form](answer(f"{form}-away"))
    assert {} == PARSERS[form]("")


@pytest.mark.parametrize("form", FORMATS)
def test_an_answer_that_is_cut_off_never_makes_a_number_of_its_own(form: str) -> None:
    """What it still tells of is told just so, of one version or server, in the whole answer."""
    text = answer(form)
    for length in range(len(text)):
        assert PARSERS[form](text[:length]).items() <= told(form)


@pytest.mark.parametrize("form", FORMATS)
def test_a_line_that_lost_its_end_tells_of_nothing_that_is_not_there(form: str) -> None:
    lines = answer(form).splitlines(keepends=True)
    for n, line in enumerate(lines):
        for length in range(len(line)):
            text = "".join([*lines[:n], line[:length] + "\n", *lines[n + 1 :]])
            assert PARSERS[form](text).items() <= told(form)


def test_counts_whose_feature_was_lost_are_nobodys() -> None:
    lost = answer("lmx").replace("0 of 3 license(s) used\n", "").replace("Feature: Gl", "Gl")

    assert {"HWActivate", "HyperWorks"} == set(lmx.parse(lost))


@cache
def told(form: str) -> frozenset[tuple[str, Count]]:
    """Every count in the answer: those of each run of its lines by itself."""
    lines = answer(form).splitlines(keepends=True)
    runs = combinations(range(len(lines) + 1), 2)
    return frozenset(c for a, b in runs for c in PARSERS[form]("".join(lines[a:b])).items())


@pytest.mark.parametrize("form", FORMATS)
def test_a_number_beyond_all_bounds_is_none(form: str) -> None:
    """Python refuses to read 5,000 digits, and no licence server has written them."""
    text = re.sub(r"\b\d+\b", "7" * 5000, answer(form))

    assert {} == PARSERS[form](text)


# --- what Slurm writes


def test_slurms_own_count_has_reservations_and_others_use_in_it() -> None:
    assert {
        "abaqus": (50, 12),
        "ansys": (100, 24),
        "nastran@slurmdb": (60, 22),
        "hot": (4, 6),
    } == slurm.parse(answer("slurm"))
    assert {} == slurm.parse("No licenses configured in Slurm.\n")


def test_slurms_answer_cut_off_has_no_other_numbers() -> None:
    text = answer("slurm")
    for length in range(len(text)):
        assert slurm.parse(text[:length]).items() <= slurm.parse(text).items()
    assert {} == slurm.parse(re.sub(r"\d+", "7" * 5000, text))


# --- the command


def source(program: str, deadline: float = 20.0, **features: str) -> CommandSource:
    """A status command in Python, whose answer is FlexNet's."""
    names: Mapping[str, Feature] = {name: Feature(theirs) for name, theirs in features.items()}
    return CommandSource((sys.executable, "-c", program), flexnet.parse, names, deadline)


SAYS = "print('Users of abaqus:  (Total of 9 licenses issued;  Total of 2 licenses in use)');"


def test_a_pool_may_have_another_name_than_its_feature() -> None:
    asked = source(SAYS, tokens="abaqus", other="cae")

    assert {"tokens": Pool("tokens", 9, 2)} == asked.pools()
    assert {"tokens": "", "other": ""} == asked.wanted


def test_what_bursts_leave_to_others_goes_along() -> None:
    asked = replace(source(SAYS), features={"tokens": Feature("abaqus", 4)})

    assert {"tokens": Pool("tokens", 9, 2, kept=4)} == asked.pools()


@pytest.mark.parametrize(
    ("program", "cause"),
    [
        (SAYS + "raise SystemExit(3)", "ended with 3: Users of abaqus"),
        (SAYS + "import sys; sys.exit('no way there')", "ended with 1: no way there Users"),
        (SAYS + "import os; os.kill(os.getpid(), 9)", "ended with -9"),
        (f"print('x' * {LONGEST_ANSWER + 1})", "wrote more than"),
    ],
)
def test_a_command_that_does_not_end_well_tells_of_nothing(program: str, cause: str) -> None:
    with pytest.raises(Unreachable, match=cause):
        source(program, abaqus="abaqus").pools()


@pytest.mark.parametrize("argv", [("/nowhere/lmutil",), ("true", "a\0b")])
def test_a_command_that_cant_be_started_says_so(argv: tuple[str, ...]) -> None:
    with pytest.raises(Unreachable, match=f"{argv[0]} could not be run: "):
        CommandSource(argv, flexnet.parse, {}).pools()


def test_neither_a_command_that_hangs_nor_its_child_outlasts_the_deadline() -> None:
    """A wrapper's child keeps what it was given open; nobody waits for that."""
    hangs = "import subprocess, time; subprocess.Popen(['sleep', '20']); time.sleep(20)"
    began = time.monotonic()
    with pytest.raises(Unreachable, match="gave no answer in 1 s"):
        source(SAYS + hangs, 1.0, abaqus="abaqus").pools()

    assert time.monotonic() - began < 10
