"""Inputs and results that pass through a bucket, to and from the built program."""

from __future__ import annotations

import http.client
import io
import random
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from burstd.agent import push as pushing
from burstd.agent.ahead import Ahead
from burstd.agent.index import Index
from burstd.agent.passage import Passage
from burstd.agent.push import Push
from burstd.domain.data import OutputFile
from burstd.far import objects, seal, wire
from burstd.far.client import Client
from burstd.far.errors import BUSY, MISMATCH, MISSING, REFUSED, BucketError, FarError
from burstd.far.objects import Objects
from burstd.far.passage import closed
from tests.far.kit import FarEnd, entry, put
from tests.far.shelf import Shelf, opened

MIB = 2**20
SECRET = bytes(range(32))


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    monkeypatch.setattr(objects, "PAUSES", (0.01, 0.01))
    with opened() as found:
        yield found


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Forty small ones and two large."""
    dice, found = random.Random(3), []
    for n in range(42):
        path = tmp_path / f"job/f{n:02}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(dice.randbytes(4000 if n < 40 else 7 * MIB) + bytes(n))
        found.append(path)
    return found


@contextmanager
def talking(far: FarEnd, shelf: Shelf, *more: str) -> Iterator[tuple[Client, Passage]]:
    argv = far.argv("serve", *more)
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, env=far.environment()) as program:
        passage = Passage(SECRET, shelf.sign)
        pipes = cast(BinaryIO, program.stdin), cast(BinaryIO, program.stdout)
        client = Client(*pipes, replies=passage)
        client.greet()
        client.unlock(SECRET)
        try:
            yield client, passage
        finally:
            with suppress(BrokenPipeError):
                pipes[0].close()
            passage.close()


def same(far: FarEnd, files: list[Path]) -> None:
    for path in files:
        assert path.read_bytes() == far.file(str(path)).read_bytes()


def test_inputs_arrive_and_the_line_carries_none_of_them(
    far: FarEnd, shelf: Shelf, index: Index, files: list[Path]
) -> None:
    moved = list[int]()
    with talking(far, shelf) as (client, passage):
        client._pace = moved.append
        passage.pace = moved.append
        sent = Push(client, index, passage).send(map(str, files))
    same(far, files)
    assert list(map(str, files)) == [file.path for file in sent]
    whole = sum(path.stat().st_size for path in files)
    sealed = sum(map(len, shelf.objects.values()))
    assert whole < sealed < 1.01 * whole
    assert sealed < sum(moved) < sealed + 60_000
    for content in shelf.objects.values():
        assert content.startswith(seal.MAGIC)
    assert files[0].read_bytes()[:50] not in b"".join(shelf.objects.values())


def test_what_lies_there_is_not_left_again_and_another_far_end_takes_it(
    far: FarEnd, shelf: Shelf, index: Index, files: list[Path]
) -> None:
    with talking(far, shelf) as (client, passage):
        Push(client, index, passage).send(map(str, files))
    first, shelf.puts = len(shelf.puts), []
    subprocess.run(["rm", "-r", str(far.root / "stores"), str(far.run_dir)], check=True)
    files[20].write_bytes(b"another deck")  # most packs are the same ones all the same
    with talking(far, shelf) as (client, passage):
        Push(client, index, passage).send(map(str, files))
    same(far, files)
    assert 0 < len(shelf.puts) <= first // 2


def test_trees_whose_files_are_shifted_share_most_packs(
    far: FarEnd, shelf: Shelf, tmp_path: Path
) -> None:
    """Where a pack ends is the content's own doing, not that of how much was read at once."""
    mesh, path = random.Random(7).randbytes(48 * MIB), tmp_path / "job" / "mesh.k"
    path.parent.mkdir()
    for number, head in enumerate((b"", b"$ a variant\n" * 9000)):
        path.write_bytes(head + mesh)
        index = Index(tmp_path / f"index{number}")
        with talking(far, shelf) as (client, passage):
            Push(client, index, passage).send([str(path)])
        index.close()
        same(far, [path])
        put = sum(len(shelf.objects[name]) for name in set(shelf.puts))
        shelf.puts = []
        subprocess.run(["rm", "-r", str(far.root / "stores"), str(far.run_dir)], check=True)
    assert put < 0.25 * len(mesh)


def test_a_pack_that_was_damaged_there_is_left_anew(
    far: FarEnd, shelf: Shelf, index: Index, files: list[Path]
) -> None:
    with talking(far, shelf) as (client, passage):
        Push(client, index, passage).send(map(str, files))
    subprocess.run(["rm", "-r", str(far.root / "stores"), str(far.run_dir)], check=True)
    damaged = sorted(shelf.objects)[1]
    shelf.objects[damaged] = shelf.objects[damaged][:-1]
    with talking(far, shelf) as (client, passage), pytest.raises(BucketError, match="once more"):
        Push(client, index, passage).send(map(str, files))
    with talking(far, shelf) as (client, passage):
        Push(client, index, passage).send(map(str, files))
    same(far, files)


@pytest.mark.parametrize("what", ["no pack", "no frame", "too long"])
def test_one_that_holds_something_else_is_left_anew(
    far: FarEnd, shelf: Shelf, index: Index, files: list[Path], what: str
) -> None:
    with talking(far, shelf) as (client, passage):
        Push(client, index, passage).send(map(str, files))
    subprocess.run(["rm", "-r", str(far.root / "stores"), str(far.run_dir)], check=True)
    name = sorted(shelf.objects)[1]
    shelf.objects[name] = {
        "no pack": seal.seal(SECRET, name, b"short"),
        "no frame": closed(SECRET, name, b"no frame", 4000),
        "too long": bytes(17 * MIB),
    }[what]
    with talking(far, shelf) as (client, passage), pytest.raises(BucketError, match="once more"):
        Push(client, index, passage).send(map(str, files))
    with talking(far, shelf) as (client, passage):
        Push(client, index, passage).send(map(str, files))
    same(far, files)


def test_a_bucket_that_stumbles_is_asked_again(
    far: FarEnd, shelf: Shelf, index: Index, files: list[Path]
) -> None:
    shelf.refusals += [503, 0, 200 + 229]
    with talking(far, shelf) as (client, passage):
        Push(client, index, passage).send(map(str, files))
    same(far, files)
    assert not shelf.refusals


@pytest.mark.parametrize(
    ("status", "code"), [(503, BUSY), (403, BUSY), (400, REFUSED), (404, MISSING)]
)
def test_one_that_refuses_is_told_of(
    far: FarEnd, shelf: Shelf, index: Index, files: list[Path], status: int, code: str
) -> None:
    shelf.refusals += [status] * 40
    with talking(far, shelf) as (client, passage), pytest.raises(BucketError) as caught:
        Push(client, index, passage).send(map(str, files))
    assert (code, f"answers {status}, Mood") == (caught.value.code, str(caught.value)[-17:])


def test_while_packs_wait_for_the_bucket_the_line_stays(
    far: FarEnd, shelf: Shelf, index: Index, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushing, "WORD_EVERY", 0.2)
    shelf.slow = 5
    with talking(far, shelf, "--silence", "2") as (client, passage):
        Push(client, index, passage).send(map(str, files[:3]))
    same(far, files[:3])


def test_an_object_that_is_cut_on_its_way_is_fetched_again(shelf: Shelf) -> None:
    shelf.objects["a"] = content = bytes(range(200))
    shelf.cuts += [100, 0]
    one = Objects()
    assert content == one.get(shelf.sign(get=["a"]).get[0], 200)
    one.close()


def test_lines_that_ended_while_they_were_idle_cost_one_try(shelf: Shelf) -> None:
    shelf.objects["a"] = b"deck"
    one = Objects()
    place = f"http://127.0.0.1:{shelf.port}"
    for _ in range(4):
        line = http.client.HTTPConnection("127.0.0.1", shelf.port)
        line.sock, other = socket.socketpair()
        other.close()
        one._idle.append((place, line))
    assert b"deck" == one.get(shelf.sign(get=["a"]).get[0], 10)
    one.close()


def test_results_come_through_it_too(far: FarEnd, shelf: Shelf) -> None:
    content = random.Random(1).randbytes(20 * MIB + 7)
    path = "/home/alice/study/field.bin"
    with far.serving() as (client, _):
        client.hello()
        put(client, entry(path, content), content)
    into = io.BytesIO()
    with talking(far, shelf) as (client, _):
        assert len(content) == client.read_into({"path": path}, into, 0, len(content))
        assert b"x" * 0 + content[:1000] == client.read({"path": path}, 0, 1000)
    assert content == into.getvalue()
    assert 3 == len(shelf.puts) == len(shelf.gets)


def test_small_results_in_groups_and_very_small_ones_over_the_line(
    far: FarEnd, shelf: Shelf
) -> None:
    dice = random.Random(2)
    made = {f"/home/alice/study/r{n}": dice.randbytes(30_000 if n else 10) for n in range(9)}
    with far.serving() as (client, _):
        client.hello()
        for path, content in made.items():
            put(client, entry(path, content), content)
    results = [OutputFile(path, "file", len(made[path]), "", 0, 0o644, "") for path in made]
    with talking(far, shelf) as (client, _):
        ahead = Ahead(client)
        ahead.expect(results)
        assert made == {path: ahead.take(path) for path in made}
        assert 1 == len(shelf.gets)
        ahead.expect(results[:1])
        assert made[results[0].path] == ahead.take(results[0].path)
        assert 1 == len(shelf.gets)


def test_places_that_nobody_used_are_forgotten(shelf: Shelf) -> None:
    passage = Passage(SECRET, shelf.sign)
    first = str(passage.place()["name"])
    for _ in range(300):
        last = str(passage.place()["name"])
    shelf.objects[last] = seal.seal(SECRET, last, b"an answer")
    assert b"an answer" == passage.bring(last, 9)
    with pytest.raises(FarError, match="none was to be left"):
        passage.bring(first, 9)
    passage.close()


def test_an_answer_that_was_exchanged_is_noticed(far: FarEnd, shelf: Shelf) -> None:
    with talking(far, shelf) as (client, passage):
        place = passage.place()
        name = str(place["name"])
        assert repr(SECRET) not in repr(passage) and "127.0.0.1" not in repr(passage)
        shelf.objects[name] = seal.seal(SECRET, "results/other", b"not this")
        with pytest.raises(FarError, match=MISMATCH):
            passage.bring(name, 8)
        with pytest.raises(FarError, match="none was to be left"):
            passage.bring(name, 8)
        name = str(passage.place()["name"])
        shelf.objects[name] = seal.seal(SECRET, name, b"longer than told")
        with pytest.raises(FarError, match="more than"):
            passage.bring(name, 3)
        assert client.hello().protocol == wire.PROTOCOL


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"op": "unlock", "key": "zz"}, "not a key"),
        ({"op": "unlock", "key": "00"}, "not a key"),
        ({"op": "unlock", "key": "000"}, "not a key"),
        ({"op": "chunks", "runs": [], "via": {"address": "", "name": ""}}, "not the address"),
        ({"op": "chunks", "runs": [], "via": {"address": "file:///etc/passwd", "name": ""}}, "not"),
        ({"op": "chunks", "runs": [], "via": {"address": "http://a:b/", "name": ""}}, "not the"),
        ({"op": "chunks", "runs": [], "via": {"address": "http://[::1/", "name": ""}}, "not the"),
        ({"op": "chunks", "runs": [], "via": {"address": "http://\ud800/", "name": ""}}, "not the"),
        ({"op": "chunks", "runs": [], "via": 7}, "via"),
    ],
)
def test_bad_words_are_refused(
    far: FarEnd, shelf: Shelf, request_: wire.Header, words: str
) -> None:
    with far.serving() as (client, _):
        client.hello()
        with pytest.raises(FarError, match=words):
            client._post(request_).result()
        assert client.hello().protocol == wire.PROTOCOL


@pytest.mark.parametrize("odd", ["\u00fc", "\ud800"])
def test_a_name_of_odd_letters_opens_nothing(far: FarEnd, shelf: Shelf, odd: str) -> None:
    shelf.objects["a"] = bytes(100)
    address = shelf.sign(get=["a"]).get[0]
    with talking(far, shelf) as (client, _):
        for via in ({"address": address, "name": odd}, {"address": address + odd, "name": "a"}):
            with pytest.raises(FarError):
                client._post({"op": "chunks", "runs": [], "via": via}).result()
        assert client.hello().protocol == wire.PROTOCOL


def test_without_a_key_nothing_passes(
    far: FarEnd, shelf: Shelf, index: Index, files: list[Path]
) -> None:
    passage = Passage(SECRET, shelf.sign)
    with far.serving() as (client, _), pytest.raises(FarError, match="no key was given"):
        client.hello()
        Push(client, index, passage).send(map(str, files))
    passage.close()


@pytest.mark.parametrize("place", ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1%eth0"])
def test_nobody_is_asked_where_clouds_keep_credentials(place: str) -> None:
    class Line(http.client.HTTPConnection):
        def connect(self) -> None:
            self.sock = cast(socket.socket, self)

        def getpeername(self) -> tuple[str, int]:
            return place, 80

        def close(self) -> None:
            pass

    with pytest.MonkeyPatch().context() as patched:
        patched.setattr(http.client, "HTTPConnection", Line)
        with pytest.raises(BucketError, match="link-local"):
            Objects().get("http://metadata/x?y", 10)


def test_nobody_there_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "PAUSES", (0.0,))
    with pytest.raises(BucketError, match=f"{BUSY}: the bucket at http://127.0.0.1:1 can't be"):
        Objects().put("http://127.0.0.1:1/x?y", b"z")
