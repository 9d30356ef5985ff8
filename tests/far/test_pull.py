"""Fetching results from the built program: what the site has of them already does not travel."""

from __future__ import annotations

import io
import itertools
import os
import random
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from burstd.agent import ahead, pull
from burstd.agent.ahead import Ahead
from burstd.agent.pull import Pull
from burstd.domain.data import OutputFile
from burstd.far import wire
from burstd.far.client import Client, Pending, chunks_of, gathered
from burstd.far.errors import FarError
from burstd.far.fields import BadFields
from burstd.ports.errors import Mismatch
from tests.far.kit import FarEnd, entry, put

PATH = "/home/alice/study/field.bin"
MIB = 2**20
OLD = random.Random(3).randbytes(9 * MIB)
MORE = random.Random(4).randbytes(MIB)


def pulled(client: Client, size: int, here: Path | None, begun: bytes = b"") -> tuple[bytes, int]:
    came = list[int]()
    with TemporaryFile() as into:
        into.write(begun)
        into.flush()
        one = Pull(client, PATH, size, into.fileno(), came.append)
        if here is None:
            one.fetch(None)
        else:
            with here.open("rb") as similar:
                one.fetch(similar.fileno())
        into.seek(0)
        return into.read(), sum(came)


@pytest.mark.parametrize(
    ("new", "most"),
    [
        (OLD + MORE, 1.4 * MIB),  # a live copy that grew
        (OLD[: 4 * MIB] + b"one line" + OLD[4 * MIB :], 0.8 * MIB),
        (OLD[: 4 * MIB] + b"x" * 65536 + OLD[4 * MIB + 65536 :], 0.9 * MIB),
        (OLD[2 * MIB :], 0.8 * MIB),
        (OLD, 0),
        (random.Random(5).randbytes(3 * MIB), 3 * MIB),
        (OLD[:1000], 1000),
        (b"", 0),
    ],
    ids=["grew", "inserted", "overwritten", "cut off", "same", "another", "small", "empty"],
)
def test_only_what_is_not_here_comes(far: FarEnd, tmp_path: Path, new: bytes, most: int) -> None:
    here = tmp_path / "copy"
    here.write_bytes(OLD)
    with far.serving() as (client, _):
        client.hello()
        put(client, entry(PATH, new), new)
        content, came = pulled(client, len(new), here)
        assert new == content
        assert came <= most
        assert (new, len(new)) == pulled(client, len(new), None)
        (tmp_path / "nothing").touch()
        assert (new, len(new)) == pulled(client, len(new), tmp_path / "nothing")


def test_a_copy_that_changes_meanwhile_does_no_harm(
    far: FarEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "copy"
    here.write_bytes(OLD)
    with far.serving() as (client, _):
        client.hello()
        put(client, entry(PATH, OLD), OLD)

        def changing(pending: Pending) -> list[tuple[bytes, int]]:
            with here.open("r+b") as file:
                file.seek(MIB)
                file.write(b"changed")
                file.truncate(5 * MIB)
            return chunks_of(pending)

        monkeypatch.setattr(pull, "chunks_of", changing)
        content, came = pulled(client, len(OLD), here)
    assert content == OLD
    assert 4 * MIB <= came < 5 * MIB


def test_a_result_that_is_shorter_than_it_was_is_no_result(far: FarEnd, tmp_path: Path) -> None:
    here = tmp_path / "copy"
    here.write_bytes(OLD)
    with far.serving() as (client, _):
        client.hello()
        put(client, entry(PATH, OLD), OLD)
        with pytest.raises(Mismatch, match="ends after"):
            pulled(client, len(OLD) + 1, here)
        os.truncate(far.file(PATH), 4 * MIB)
        with pytest.raises(Mismatch, match="ends after"):
            pulled(client, len(OLD), None)


@pytest.mark.parametrize("cut", [0, 100, MIB, MIB + 1, 5 * MIB, 9 * MIB - 1, 9 * MIB])
def test_what_came_before_a_cut_does_not_come_again(far: FarEnd, cut: int) -> None:
    with far.serving() as (client, _):
        client.hello()
        put(client, entry(PATH, OLD), OLD)
        content, came = pulled(client, len(OLD), None, OLD[:cut])
    assert content == OLD
    kept = cut if cut >= MIB else 0
    assert len(OLD) - kept <= came <= min(len(OLD), len(OLD) - kept + 256 * 2**10)


@pytest.mark.parametrize("segment", [2 * MIB, pull.SEGMENT])
@pytest.mark.parametrize(
    ("here", "same"),
    [
        (OLD, True),
        (OLD[: 5 * MIB + 12_345], True),
        (OLD[: 2 * MIB], True),
        (OLD[:7], True),
        (b"", True),
        (OLD + b"x", False),
        (OLD[: 5 * MIB] + b"x", False),
        (b"x" + OLD[1 : 5 * MIB], False),
        (OLD[: 5 * MIB] + b"x" + OLD[5 * MIB + 1 :], False),
    ],
    ids=["all", "a part", "a segment", "little", "nothing", "longer", "end", "begin", "middle"],
)  # fmt: skip
def test_whether_a_copy_is_a_beginning(
    far: FarEnd, monkeypatch: pytest.MonkeyPatch, segment: int, here: bytes, same: bool
) -> None:
    monkeypatch.setattr(pull, "SEGMENT", segment)
    with far.serving() as (client, _), TemporaryFile() as mine:
        client.hello()
        put(client, entry(PATH, OLD), OLD)
        mine.write(here)
        mine.flush()
        right = pull.alike(client, PATH, mine.fileno(), len(here), len(here))
        assert same == (right == len(here))


@pytest.mark.parametrize("segment", [2 * MIB, pull.SEGMENT])
def test_a_beginning_that_is_wrong_somewhere_stays_up_to_there(
    far: FarEnd, monkeypatch: pytest.MonkeyPatch, segment: int
) -> None:
    monkeypatch.setattr(pull, "SEGMENT", segment)
    begun = OLD[: 5 * MIB] + b"x" + OLD[5 * MIB + 1 : 8 * MIB]
    with far.serving() as (client, _):
        client.hello()
        put(client, entry(PATH, OLD), OLD)
        content, came = pulled(client, len(OLD), None, begun)
        assert content == OLD
        assert 4 * MIB <= came <= 4.3 * MIB


def test_both_what_came_before_and_what_is_here_is_used(
    far: FarEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "SEGMENT", 2 * MIB)
    here = tmp_path / "copy"
    here.write_bytes(OLD[: 6 * MIB])
    with far.serving() as (client, _):
        client.hello()
        put(client, entry(PATH, OLD), OLD)
        content, came = pulled(client, len(OLD), here, OLD[: 3 * MIB])
    assert content == OLD
    assert 3 * MIB <= came <= 3.5 * MIB


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    pieces=st.lists(st.tuples(st.booleans(), st.integers(1, 200_000)), min_size=1, max_size=8),
    blocks=st.lists(st.integers(1000, 300_000), min_size=1, max_size=5),
)
def test_zeros_become_holes_and_nothing_else_does(
    pieces: list[tuple[bool, int]], blocks: list[int]
) -> None:
    content = b"".join(bytes(size) if zero else b"x" * size for zero, size in pieces)
    client: Any = None
    with TemporaryFile() as into:
        one = Pull(client, PATH, len(content), into.fileno(), int)
        at = 0
        for size in itertools.cycle(blocks):
            if at >= len(content):
                break
            one._put(content[at : at + size])
            at += size
        os.ftruncate(into.fileno(), len(content))
        assert content == into.read()


def test_a_sparse_file_stays_one(far: FarEnd, tmp_path: Path) -> None:
    size = 40 * MIB
    with (tmp_path / "sparse").open("w+b") as file:
        file.write(MORE)
        file.seek(30 * MIB)
        file.write(MORE)
        file.truncate(size)
        file.seek(0)
        content = file.read()
    with far.serving() as (client, _):
        client.hello()
        put(client, entry(PATH, content), content)
        with (tmp_path / "result").open("w+b") as into:
            Pull(client, PATH, size, into.fileno(), int).fetch(None)
            assert content == into.read()
            assert os.fstat(into.fileno()).st_blocks * 512 < 3 * MIB
    assert far.file(PATH).stat().st_blocks * 512 < 3 * MIB


# --- many small files


def small(far: FarEnd, client: Client, count: int) -> dict[str, bytes]:
    dice, found = random.Random(6), dict[str, bytes]()
    for n in range(count):
        content = dice.randbytes(dice.choice((1, 700, 5000))) * dice.choice((1, 3))
        found[f"/home/alice/study/t{n}"] = content
        put(client, entry(f"/home/alice/study/t{n}", content), content)
    return found


def results(files: dict[str, bytes]) -> list[OutputFile]:
    return [OutputFile(path, "file", len(content)) for path, content in files.items()]


def test_small_files_come_together_and_in_any_order_that_was_said(
    far: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "GROUP_FILES", 7)
    with far.serving() as (client, _):
        client.hello()
        files = small(far, client, 60)
        one, asked = Ahead(client), list[object]()
        real = client.gather

        def gather(paths: Sequence[str], most: int) -> Pending:
            asked.append(paths)
            return real(paths, most)

        monkeypatch.setattr(client, "gather", gather)
        one.expect(results(files))
        skipped = {path for n, path in enumerate(files) if n % 5 == 0 or 20 < n < 40}
        for path, content in files.items():
            if path not in skipped:
                assert content == one.take(path)
        assert 9 == len(asked)
        assert None is one.take("/home/alice/study/t0")
        one.expect(results(files)[:3])
        assert files["/home/alice/study/t2"] == one.take("/home/alice/study/t2")
        assert [] == list(client._waiting)


def test_what_cannot_be_had_with_others_is_asked_for_alone(far: FarEnd) -> None:
    with far.serving() as (client, _):
        client.hello()
        files = small(far, client, 6)
        far.file("/home/alice/study/t1").unlink()
        far.file("/home/alice/study/t2").unlink()
        far.file("/home/alice/study/t2").symlink_to("/etc/passwd")
        far.file("/home/alice/study/t3").write_bytes(b"x" * (ahead.GROUP_BYTES + 1))
        one = Ahead(client)
        one.expect([*results(files), OutputFile("/../x", "file", 5), OutputFile("/d", "dir")])
        found = [one.take(path) for path in files]
        assert [
            None if n in {1, 2, 3} else content for n, content in enumerate(files.values())
        ] == (found)
        assert None is one.take("/../x") is one.take("/d")


def test_an_answer_that_lies_about_its_sizes_is_refused(far: FarEnd) -> None:
    for sizes in ([3, 3], [7], [5, "2"], [-7, 12], 7):
        line = io.BytesIO()
        wire.send(line, {"ok": True, "sizes": sizes}, b"1234567")
        line.seek(0)
        client = Client(io.BytesIO(), line)
        with pytest.raises((FarError, BadFields)):
            gathered(client.gather(["/a", "/b"], 100), 2)


def test_what_came_with_others_is_written_whole_or_not_believed(tmp_path: Path) -> None:
    nobody: Any = None
    with TemporaryFile() as into:
        into.write(b"an older beginning")
        into.flush()
        came = list[int]()
        Pull(nobody, PATH, 6, into.fileno(), came.append).put(b"result")
        into.seek(0)
        assert (b"result", [6]) == (into.read(), came)
        with pytest.raises(Mismatch, match="has 4 bytes, not 6"):
            Pull(nobody, PATH, 6, into.fileno(), came.append).put(b"resu")
