"""The audit log's chain: whatever is done to a record, it shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from burstd.core.audit import BrokenChain, chained, from_json, to_json, verify
from burstd.domain.audit import NOTHING, AuditHead, AuditRecord
from tests.unit.values import NOW


def log(length: int = 5) -> list[AuditRecord]:
    records, head = [], NOTHING
    for n in range(length):
        record = AuditRecord(0, NOW, "burstd", "burst.Kept", f"b{n}", {"cause": "ünï\n", "n": n})
        records.append(chained(head, record))
        head = AuditHead(records[-1].seq, records[-1].digest)
    return records


def head_of(records: list[AuditRecord]) -> AuditHead:
    return AuditHead(records[-1].seq, records[-1].digest)


def test_a_chain_as_it_was_written_is_whole_also_after_an_export() -> None:
    records = log()

    assert head_of(records) == verify(from_json(to_json(r)) for r in records)
    assert NOTHING == verify([])
    assert head_of(records) == verify(records, head_of(records[:2]))


@pytest.mark.parametrize(
    "change",
    [
        lambda r: replace(r, at=r.at + timedelta(seconds=1)),
        lambda r: replace(r, actor="mallory"),
        lambda r: replace(r, action="burst.Done"),
        lambda r: replace(r, subject="b9"),
        lambda r: replace(r, detail={**r.detail, "n": 99}),
        lambda r: replace(r, seq=r.seq + 1),
        lambda r: replace(r, prev="0" * 63 + "1"),
        lambda r: replace(r, digest="0" * 64),
    ],
)
@pytest.mark.parametrize("place", [0, 2, 4])
def test_any_changed_field_breaks_it(
    place: int, change: Callable[[AuditRecord], AuditRecord]
) -> None:
    records = log()
    records[place] = change(records[place])
    with pytest.raises(BrokenChain):
        verify(records)


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_removed_a_doubled_and_a_moved_record_break_it(place: int) -> None:
    removed, doubled, moved = log(), log(), log()
    del removed[place]
    doubled.insert(place, doubled[place])
    moved[place], moved[place + 1] = moved[place + 1], moved[place]
    for records in (removed, doubled, moved):
        with pytest.raises(BrokenChain):
            verify(records)


def test_a_cut_off_end_and_a_log_written_anew_show_against_a_known_head() -> None:
    known = head_of(log())
    anew, head = [], NOTHING
    for record in log():
        anew.append(chained(head, replace(record, actor="mallory")))
        head = head_of(anew)

    assert 3 == verify(log(3)).seq  # without a head the cut cannot be seen
    with pytest.raises(BrokenChain, match="cut off"):
        verify(log(3), known)
    with pytest.raises(BrokenChain, match="anew"):
        verify(anew, known)


@pytest.mark.parametrize("found", [{}, {**to_json(log()[0]), "seq": "x"}, {"seq": 1, "at": 7}])
def test_what_is_no_record_is_a_break_and_no_traceback(found: dict[str, object]) -> None:
    with pytest.raises(BrokenChain, match="not an audit record"):
        from_json(found)
