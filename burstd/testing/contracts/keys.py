"""What the ledger promises of keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from burstd.core.audit import verify
from burstd.domain.keys import WrappedKey
from burstd.ports.store import BurstStore
from burstd.testing.clock import SteppedClock


def a_key(number: int, scope: str = "burst:one", bucket: str = "eu") -> WrappedKey:
    """One that lives."""
    made = SteppedClock().now()
    return WrappedKey(f"{number:032x}", bucket, scope, f"wrapped {number}", made)


class KeyContract:
    """A part of ``StoreContract``: give a fixture ``open_store`` as there."""

    def test_of_a_bucket_and_a_scope_one_key_lives(
        self, open_store: Callable[[], BurstStore]
    ) -> None:
        one, two = open_store(), open_store()
        first = one.keep_key(a_key(1))
        assert a_key(1) == first == two.keep_key(a_key(2))
        assert a_key(3, bucket="us") == two.keep_key(a_key(3, bucket="us"))
        assert a_key(4, "user:bob") == one.keep_key(a_key(4, "user:bob"))
        assert {1, 3, 4} == {int(key.place, 16) for key in two.seal_keys()}

    def test_a_destroyed_key_is_gone_and_stays_known_until_it_is_shredded(
        self, open_store: Callable[[], BurstStore]
    ) -> None:
        one, two = open_store(), open_store()
        one.keep_key(a_key(1))
        for _ in range(2):
            two.destroy_key(a_key(1).place, "root", "project closed")
        (gone,) = one.seal_keys()
        assert (None, "root", "project closed") == (gone.wrapped, gone.by, gone.why)
        assert gone.destroyed_at is not None
        assert replace(a_key(1), wrapped=None) == replace(gone, destroyed_at=None, by="", why="")
        assert a_key(2) == one.keep_key(a_key(2))  # a new life of the same scope
        two.forget_key(gone.place)  # too early
        assert (gone, a_key(2)) == one.seal_keys()
        for _ in range(2):
            two.shredded(gone, {"certificate": "deletion", "objects": 3})
        (empty, _) = one.seal_keys()
        assert empty.emptied_at is not None
        assert gone == replace(empty, emptied_at=None)
        one.shredded(a_key(2), {})  # it lives
        for _ in range(2):
            two.forget_key(gone.place)
        assert (a_key(2),) == one.seal_keys()
        told = [record for record in one.audit() if record.subject == "one"]
        assert ["key.destroyed", "shredded"] == [record.action for record in told]
        assert ({"certificate": "deletion", "objects": 3}, "root") == (
            told[1].detail, told[1].actor,
        )  # fmt: skip
        assert (told[1],) == one.shreds("burst:one")
        assert () == one.shreds("burst:two")
        assert 2 == verify(one.audit()).seq
