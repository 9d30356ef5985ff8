"""What every ``ports.bucket.Bucket`` must keep, tried on a bucket that is ours."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Protocol
from urllib.parse import urlsplit

import pytest

from burstd.adapters.clock import SystemClock
from burstd.ports.bucket import Bucket, Swept
from burstd.ports.errors import AccessDenied, Mismatch, Rejected, Unreachable

MANY = 1_050  #: more than a server lists, or deletes, at once
HOUR = 3600


class BucketServer(Protocol):
    """An empty bucket. ``keys``, here: whole ones, with the prefix."""

    checks_signatures: bool  #: and refuses what is signed for something else, or was once
    keeps_versions: bool  #: if it is told to
    keeps_uploads: bool  #: and tells of them
    locks: bool  #: in a bucket that was made for it

    def opened(self, prefix: str, *, secret: str | None = None) -> Bucket:
        """The part of it below that prefix; ``secret``: with one that may be wrong."""

    def elsewhere(self) -> Bucket:
        """A bucket at an endpoint where nobody answers."""

    def missing(self) -> Bucket:
        """A bucket at this endpoint, ``never-made``."""

    def locking(self) -> BucketServer:
        """Another empty bucket, whose objects can be held."""

    def write(self, key: str, content: bytes) -> None:
        """Put an object."""

    def delete(self, key: str) -> None:
        """As everybody does it: where versions are kept, by a marker."""

    def keep_versions(self) -> None:
        """From now on, of every object."""

    def hold(self, key: str) -> Callable[[], None]:
        """Lock an object where it is; call what is given back to let it go."""

    def begin_upload(self, key: str) -> None:
        """An upload of several parts, of which one is there."""

    def everything(self) -> list[str]:
        """The keys of all objects, versions, markers and uploads, sorted."""


class BucketContract:
    """Give a fixture ``server``, with a bucket of its own for each test."""

    @pytest.fixture
    def bucket(self, server: BucketServer) -> Bucket:
        return server.opened("burstd/")

    # --- addresses

    def test_what_one_address_takes_another_gives(self, bucket: Bucket) -> None:
        content = bytes(range(256)) * 300
        assert 200 == send("PUT", bucket.put_address("a/1-x", HOUR), content)[0]

        assert (200, content) == send("GET", bucket.get_address("a/1-x", HOUR))
        assert 404 == send("GET", bucket.get_address("a/2", HOUR))[0]

    def test_the_last_that_is_put_stands(self, bucket: Bucket) -> None:
        address = bucket.put_address("a", HOUR)
        for content in (b"first", b"", b"second"):
            assert 200 == send("PUT", address, content)[0]

        assert (200, b"second") == send("GET", bucket.get_address("a", HOUR))
        assert [("a", 6)] == [(one.name, one.size) for one in bucket.listed("")]

    def test_an_address_is_below_the_prefix_of_its_bucket(
        self, server: BucketServer, bucket: Bucket
    ) -> None:
        send("PUT", bucket.put_address("a/1", HOUR), b"ours")

        assert ["burstd/a/1"] == server.everything()
        assert 404 == send("GET", server.opened("other/").get_address("a/1", HOUR))[0]

    def test_an_address_is_for_one_verb_and_one_object(
        self, server: BucketServer, bucket: Bucket
    ) -> None:
        must_check(server)
        send("PUT", bucket.put_address("a", HOUR), b"a")
        send("PUT", bucket.put_address("b", HOUR), b"b")
        put, get = bucket.put_address("a", HOUR), bucket.get_address("a", HOUR)

        refused = [
            send("PUT", get, b"changed"),
            send("DELETE", get),
            send("DELETE", put),
            send("GET", put),
            send("GET", get.replace("burstd/a", "burstd/b")),
            send("PUT", put.replace("burstd/a", "burstd/b"), b"changed"),
            send("GET", get.replace("Expires=3600", "Expires=36000")),
        ]
        assert [403] * 7 == [status for status, _ in refused]
        assert b"a" == send("GET", get)[1]
        assert b"b" == send("GET", bucket.get_address("b", HOUR))[1]

    def test_an_address_ends_when_it_was_said_to(
        self, server: BucketServer, bucket: Bucket
    ) -> None:
        must_check(server)
        put, get = bucket.put_address("a", 1), bucket.get_address("a", 1)
        time.sleep(2.1)

        for status in (send("PUT", put, b"late")[0], send("GET", get)[0]):
            assert status in (400, 403)
        assert [] == server.everything()

    @pytest.mark.parametrize("seconds", [-1, 0, 604_801])
    def test_nothing_is_signed_for_longer_than_a_week(self, bucket: Bucket, seconds: int) -> None:
        for address in (bucket.put_address, bucket.get_address):
            with pytest.raises(Rejected):
                address("a", seconds)
        assert bucket.get_address("a", 604_800)

    @pytest.mark.parametrize(
        "name",
        ["/a", "a//b", "a/", "A", "a_b", "a.b", "..", "a/../b", "a b", "a?b", "ä", "a\n", "a%2fb"],
    )
    def test_a_name_of_other_letters_is_refused(self, server: BucketServer, name: str) -> None:
        nowhere = server.elsewhere()  # so that it shows if anything is sent
        for address in (nowhere.put_address, nowhere.get_address):
            with pytest.raises(Rejected):
                address(name, HOUR)
        if name != "a/":
            with pytest.raises(Rejected):
                nowhere.remove(name)
            with pytest.raises(Rejected):
                nowhere.listed(name)

    def test_an_object_has_a_name(self, bucket: Bucket) -> None:
        with pytest.raises(Rejected):
            bucket.put_address("", HOUR)
        with pytest.raises(Rejected):
            bucket.remove("/")

    # --- lists

    def test_objects_are_listed_by_name_with_their_size_and_time(
        self, server: BucketServer, bucket: Bucket
    ) -> None:
        for key in ("b", "a/2", "a/10", "a/1", "a-1", "a0"):
            server.write(f"burstd/{key}", b"x" * len(key))
        listed = [*bucket.listed("")]

        assert ["a-1", "a/1", "a/10", "a/2", "a0", "b"] == [one.name for one in listed]
        assert all(len(one.name) == one.size for one in listed)
        now = SystemClock().now()
        assert all(abs(now - one.modified) < timedelta(minutes=5) for one in listed)

    def test_a_directory_is_all_that_is_below_it_and_a_name_is_one(
        self, server: BucketServer, bucket: Bucket
    ) -> None:
        for key in ("burstd/a/1", "burstd/a/1/x", "burstd/a/10", "burstd/a/10/x", "burstd2/a/1"):
            server.write(key, b"x")

        listed = {b: [one.name for one in bucket.listed(b)] for b in ("a/1", "a/1/", "a", "b/")}
        assert {"a/1": ["a/1"], "a/1/": ["a/1/x"], "a": [], "b/": []} == listed
        assert ["a/1", "a/1/x", "a/10", "a/10/x"] == [one.name for one in bucket.listed("a/")]

    def test_many_are_listed_and_removed_to_the_last(
        self, server: BucketServer, bucket: Bucket
    ) -> None:
        names = [f"a/{number:04}" for number in range(MANY)]
        with ThreadPoolExecutor(4) as threads:
            [*threads.map(lambda name: server.write(f"burstd/{name}", b"xyz"), names)]
        server.write("burstd/b", b"kept")

        assert names == [one.name for one in bucket.listed("a/")]
        assert Swept(MANY, 3 * MANY) == bucket.remove("a/")
        assert ["burstd/b"] == server.everything()

    # --- removals

    def test_what_is_removed_is_gone_and_can_be_removed_again(
        self, server: BucketServer, bucket: Bucket
    ) -> None:
        server.write("burstd/a/1", b"one")
        server.write("burstd/a/2", b"seven")

        assert [Swept(2, 8), Swept(), Swept()] == [bucket.remove("a/") for _ in range(3)]
        assert [] == server.everything()

    def test_a_removal_leaves_its_neighbours(self, server: BucketServer, bucket: Bucket) -> None:
        neighbours = ["burstd/a/1-x", "burstd/a/10/x", "burstd2/a/1/x", "other/a/1/x", "a/1/x"]
        for key in (*neighbours, "burstd/a/1", "burstd/a/1/x", "burstd/a/1/y/z"):
            server.write(key, b"x")

        assert Swept(2, 2) == bucket.remove("a/1/")
        assert sorted([*neighbours, "burstd/a/1"]) == server.everything()
        assert Swept(1, 1) == bucket.remove("a/1")
        assert sorted(neighbours) == server.everything()

    def test_everything_is_what_is_below_the_prefix(
        self, server: BucketServer, bucket: Bucket
    ) -> None:
        for key in ("burstd/a", "burstd/b/1", "burst", "burstd-2/a", "a"):
            server.write(key, b"x")

        assert Swept(2, 2) == bucket.remove("")
        assert ["a", "burst", "burstd-2/a"] == server.everything()

    def test_no_upload_stays_that_never_ended(self, server: BucketServer, bucket: Bucket) -> None:
        if not server.keeps_uploads:
            pytest.skip("it tells of no uploads")
        neighbours = ["burstd/a/10/x", "burstd2/a/1/x", "a/1/x"]
        for key in (*neighbours, "burstd/a/1", "burstd/a/1/x", "burstd/a/1/x", "burstd/a/1/y"):
            server.begin_upload(key)

        assert 3 == bucket.remove("a/1/").objects
        assert sorted([*neighbours, "burstd/a/1"]) == server.everything()
        assert 1 == bucket.remove("a/1").objects
        assert sorted(neighbours) == server.everything()

    def test_no_version_and_no_marker_stays(self, server: BucketServer, bucket: Bucket) -> None:
        if not server.keeps_versions:
            pytest.skip("it keeps no versions")
        server.write("burstd/a/0", b"from before")
        server.keep_versions()
        for content in (b"1", b"22", b"333"):
            server.write("burstd/a/1", content)
        server.write("burstd/a/2", b"4444")
        for key in ("burstd/a/1", "burstd/a/3"):
            server.delete(key)
        server.write("burstd/b", b"kept")
        server.write("burstd/b", b"kept too")

        before = len(server.everything())
        assert Swept(before - 2, 21) == bucket.remove("a/")
        assert ["burstd/b", "burstd/b"] == server.everything()
        assert Swept() == bucket.remove("a/")

    def test_what_is_held_is_told_and_the_rest_is_gone(self, server: BucketServer) -> None:
        if not server.locks:
            pytest.skip("it holds nothing")
        server = server.locking()
        bucket = server.opened("burstd/")
        for key in ("burstd/a/1", "burstd/a/2", "burstd/a/3"):
            server.write(key, b"x")
        let_go = server.hold("burstd/a/2")

        with pytest.raises(Mismatch, match="burstd/a/2"):
            bucket.remove("a/")
        assert ["burstd/a/2"] == server.everything()
        let_go()
        assert Swept(1, 1) == bucket.remove("a/")

    # --- what goes wrong

    def test_a_server_that_is_away_is_unreachable_and_soon(self, server: BucketServer) -> None:
        nowhere, began = server.elsewhere(), time.monotonic()
        assert nowhere.put_address("a", HOUR), "to sign, nobody need answer"
        with pytest.raises(Unreachable):
            nowhere.remove("a/")
        with pytest.raises(Unreachable):
            next(nowhere.listed("a/"))
        assert time.monotonic() - began < 20

    def test_a_bucket_that_is_not_there_is_told_by_name(self, server: BucketServer) -> None:
        for call in (lambda b: b.remove("a/"), lambda b: [*b.listed("")]):
            with pytest.raises(Rejected, match="never-made"):
                call(server.missing())

    def test_a_wrong_secret_is_denied(self, server: BucketServer) -> None:
        must_check(server)
        denied = server.opened("burstd/", secret="wrong" * 8)
        server.write("burstd/a", b"x")
        with pytest.raises(AccessDenied):
            denied.remove("")
        with pytest.raises(AccessDenied):
            [*denied.listed("")]
        assert 403 == send("GET", denied.get_address("a", HOUR))[0]
        assert ["burstd/a"] == server.everything()

    def test_several_threads_may_use_it_at_once(self, server: BucketServer, bucket: Bucket) -> None:
        def story(thread: int) -> int:
            for number in range(8):
                send("PUT", bucket.put_address(f"{thread}/{number}", HOUR), b"x")
            return bucket.remove(f"{thread}/").objects

        with ThreadPoolExecutor(6) as threads:
            assert [8] * 6 == [*threads.map(story, range(6))]
        assert [] == server.everything()


def send(verb: str, url: str, content: bytes | None = None) -> tuple[int, bytes]:
    """Status and content of an answer, as whoever has nothing but the URL gets it."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=30)
    try:
        connection.request(verb, f"{parts.path}?{parts.query}", content)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def must_check(server: BucketServer) -> None:
    if not server.checks_signatures:
        pytest.skip("it takes any signature")
