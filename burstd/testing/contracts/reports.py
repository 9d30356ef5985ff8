"""What every ``BurstStore`` does with the words of agents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

from burstd.core.audit import verify
from burstd.domain.burst import BurstId
from burstd.ports.store import BurstStore
from burstd.testing.bursts import CLOUD, identity, plan


class ReportContract:
    """A part of ``StoreContract``, whose fixtures it takes."""

    def test_what_left_is_in_the_audit_log_by_its_digest(self, store: BurstStore) -> None:
        (burst,) = store.record(plan(identity(1)))
        files = [{"path": "/a/ü", "size": 3, "blake3": "ab"}]
        store.report(burst.id, "staged_in", {"files": files, "bytes": 3})
        store.report(burst.id, "staged_out", {"files": 1, "bytes": 3})

        (left,) = (record for record in store.audit() if record.action == "egress")
        text = json.dumps(files, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(text.encode()).hexdigest()
        assert (burst.id, {"files": 1, "bytes": 3, "sha256": digest}) == (left.subject, left.detail)
        assert verify(store.audit()) == store.head()

    def test_a_report_replaces_the_one_before(self, store: BurstStore) -> None:
        (burst,) = store.record(plan(identity(1)))
        store.report(burst.id, "hello", {"restarts": 0})
        store.report(burst.id, "hello", {"restarts": 1})
        store.report(burst.id, "staged_in", {"bytes": 100})

        assert {"restarts": 1} == store.reports(burst.id)["hello"].body
        assert {(CLOUD, "in"): 100} == store.staged()
        assert {"hello"} == store.reports(burst.id, "hello", "refused").keys()
        assert {"hello", "staged_in"} == store.reports(burst.id).keys()
        assert {} == dict(store.reports(BurstId("nobody")))

    def test_a_report_is_news_once(self, open_store: Callable[[], BurstStore]) -> None:
        one, two = open_store(), open_store()
        (burst,) = one.record(plan(identity(1)))
        body = {"files": [{"path": "/w/L\udcfcfter.inp", "size": 3}], "bytes": 3}
        assert one.report(burst.id, "staged_in", body)
        first = one.reports(burst.id)["staged_in"]
        assert not two.report(burst.id, "staged_in", body)

        assert first == two.reports(burst.id)["staged_in"]
        assert body == json.loads(two.report_text(burst.id, "staged_in") or "")
        assert two.report_text(burst.id, "staged_out") is None
        assert 1 == [r.action for r in two.audit()].count("egress")

    def test_the_audit_log_has_every_list_of_inputs_that_is_kept_and_no_endless_row_of_them(
        self, store: BurstStore
    ) -> None:
        (burst,) = store.record(plan(identity(1)))
        kept = [store.report(burst.id, "staged_in", {"files": [], "bytes": n}) for n in range(50)]

        told = [r.detail["bytes"] for r in store.audit() if r.action == "egress"]
        assert list(range(sum(kept))) == told
        assert 10 > len(told)
        assert store.reports(burst.id)["staged_in"].body["bytes"] == told[-1]

    def test_no_word_of_agents_is_too_large_to_be_added_up(self, store: BurstStore) -> None:
        for burst in store.record(plan(*map(identity, range(1, 6)))):
            store.report(burst.id, "staged_out", {"bytes": 2**80})

        assert {(CLOUD, "out"): 5 * 2**53} == store.staged()
