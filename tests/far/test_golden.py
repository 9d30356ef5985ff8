"""What is written today is what was written when the formats got their numbers, and is read so."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest

from burstd.far import chunks, passage, planes, wire
from burstd.far.client import Client
from burstd.far.errors import FarError
from burstd.far.store import Store
from tests.far.golden import FILE, HERE, KEY, OBJECT, content, numbers, pieces, written
from tests.far.kit import FarEnd
from tests.unit.stored import taken


@pytest.mark.parametrize(
    "name", ["cut.txt", "conversation.bin", "sealed.bin", "store.pack", "store.idx"]
)
def test_the_bytes_are_those_of_this_version(name: str) -> None:
    assert (HERE / name).read_bytes() == dict(written())[name], (
        "a format has changed: give it another number, and write its files anew"
    )


def test_a_store_of_this_version_is_read(tmp_path: Path) -> None:
    place = tmp_path / "stores" / str(os.geteuid())
    place.mkdir(parents=True)
    (place / "other.0.pack").write_bytes((HERE / "store.pack").read_bytes())
    for with_index in (False, True):
        if with_index:
            (place / "other.0.idx").write_bytes((HERE / "store.idx").read_bytes())
        store = Store.at(str(tmp_path), KEY)
        assert [piece for _, piece in pieces()] == [taken(store, n) for n, _ in pieces()]
        store.close()


def test_a_payload_of_this_version_is_read() -> None:
    """Whoever writes one may choose other pieces, and zstd's libraries write as they like."""
    payload, (plain, ends) = (HERE / "planes.bin").read_bytes(), numbers()
    found = planes.head(payload, len(plain))
    assert found is not None
    assert [(ends[0], ends[1], 8), (ends[2], ends[3], 12)] == list(found[1])
    assert plain == chunks.decompress(payload, len(plain))


def test_an_object_of_this_version_is_opened() -> None:
    found = passage.opened(bytes(range(32)), OBJECT, (HERE / "sealed.bin").read_bytes())
    assert (None, content() * 6) == (found[0], bytes(found[1]))


def test_a_conversation_of_this_version_is_understood(far: FarEnd) -> None:
    done = subprocess.run(
        far.argv("serve"), input=(HERE / "conversation.bin").read_bytes(), capture_output=True,
        check=True, env=far.environment(),
    )  # fmt: skip
    line = io.BytesIO(done.stdout)
    answers = []
    while (header := wire.receive(line)) is not None:
        answers.append((header, wire.read_exactly(line, wire.payload_size(header))))
    assert [True] * 10 == [header.get("ok") for header, _ in answers]
    assert 10 == answers[0][0]["protocol"]
    assert content() == far.file(FILE).read_bytes()
    assert 0o640 == far.file(FILE).stat().st_mode & 0o777
    assert content()[:10] == answers[9][1]
    assert [FILE] == [seen["path"] for seen in answers[8][0]["files"]]  # type: ignore[attr-defined]
    assert len(pieces()) * 36 == len(answers[7][1])


def test_another_protocol_is_refused_by_its_number(far: FarEnd) -> None:
    with far.serving() as (client, _), pytest.raises(FarError, match="speaks protocol 10"):
        client._ask({"op": "hello", "protocol": 9})


@pytest.mark.parametrize("number", [b"1", b"3"])
def test_a_store_of_another_version_is_left_alone(tmp_path: Path, number: bytes) -> None:
    place = tmp_path / "stores" / str(os.geteuid())
    place.mkdir(parents=True)
    other = b"burstpk" + number + (HERE / "store.pack").read_bytes()[8:]
    (place / "other.0.pack").write_bytes(other)
    (place / "other.0.idx").write_bytes(b"burstix" + number + (HERE / "store.idx").read_bytes()[8:])
    store = Store.at(str(tmp_path), KEY)
    assert not any(store.has(name) for name, _ in pieces())
    store.add(pieces()[:1])
    store.close()
    assert other == (place / "other.0.pack").read_bytes()


def test_an_agent_that_is_told_of_another_protocol_says_so() -> None:
    answer = io.BytesIO()
    wire.send(answer, {"error": "refused", "message": "this end speaks protocol 10"})
    answer.seek(0)
    with pytest.raises(FarError, match="this end speaks protocol 10"):
        Client(io.BytesIO(), answer).hello()
    answer.seek(0)
    client = Client(io.BytesIO(), answer)
    client.greet()
    with pytest.raises(FarError, match="this end speaks protocol 10"):
        client.status()
