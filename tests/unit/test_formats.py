"""Texts of an older or a later burstd, whose classes had other fields."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, make_dataclass
from typing import Any

import pytest

from burstd.core.codec import Unfit, codec
from burstd.core.delta import node
from burstd.core.table import NOTHING
from burstd.domain.jobs import JobKey


@dataclass(frozen=True)
class Before:
    """A class of an older burstd."""

    name: str
    rows: tuple[JobKey, ...] = ()


@dataclass(frozen=True)
class After:
    """The same today."""

    name: str
    rows: tuple[JobKey, ...] = ()
    gpus: int = 7
    keys: frozenset[JobKey] = frozenset()
    more: dict[str, int] = field(default_factory=dict)


def test_a_field_that_is_added_is_read_as_its_default_from_an_older_text() -> None:
    line = json.loads(node(Before).diff(NOTHING, Before("x", (JobKey("c", 1),))))
    cell = node(After).cell()
    cell.take(line)
    assert After("x", (JobKey("c", 1),)) == cell.value()
    assert After("x") == codec(After).decode(codec(Before).encode(Before("x")))


def test_a_column_that_is_added_is_read_as_its_default_from_an_older_text() -> None:
    wide: Any = make_dataclass("JobKey", [("gpus", int, 4)], bases=(JobKey,), frozen=True)
    line = json.loads(node(tuple[JobKey, ...]).diff(NOTHING, (JobKey("c", 1), JobKey("c", 2, 3))))
    cell = node(tuple[wide, ...]).cell()
    cell.take(line)
    assert (wide("c", 1), wide("c", 2, 3)) == cell.value()
    assert [4, 4] == [row.gpus for row in cell.value()]


def test_a_field_that_nobody_knows_any_more_is_refused() -> None:
    line = json.loads(node(After).diff(NOTHING, After("x", gpus=1)))
    with pytest.raises(Unfit, match="Before has no gpus: a later burstd has written it"):
        node(Before).cell().take(line)
    wide: Any = make_dataclass("JobKey", [("gpus", int, 4)], bases=(JobKey,), frozen=True)
    line = json.loads(node(tuple[wide, ...]).diff(NOTHING, (wide("c", 1),)))
    with pytest.raises(Unfit, match="JobKey has no gpus"):
        node(tuple[JobKey, ...]).cell().take(line)


def test_a_type_without_words_is_named_before_anything_is_written() -> None:
    with pytest.raises(TypeError, match="no words for"):
        node(make_dataclass("Odd", [("what", complex)]))


@pytest.mark.parametrize("wide", [False, True])
def test_a_field_that_does_not_count_when_two_are_compared_is_told_all_the_same(wide: bool) -> None:
    quiet: Any = make_dataclass("Quiet", [("n", int), ("where", str, field(compare=False))])
    hint: Any = make_dataclass("Row", [("quiet", quiet | None)]) if wide else quiet
    one, other = (hint(quiet(1, w)) if wide else quiet(1, w) for w in ("here", "there"))
    assert one == other
    cell = node(tuple[hint, ...]).cell()
    for before, after in ((NOTHING, (one,)), ((one,), (other,))):
        cell.take(json.loads(node(tuple[hint, ...]).diff(before, after)))
    assert "there" == (cell.value()[0].quiet if wide else cell.value()[0]).where
