"""Logs keep secrets; metrics keep their names."""

from __future__ import annotations

import base64
import io
import json
from collections import Counter

import pytest
import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from burstd.obs import logs
from burstd.obs.logs import HIDDEN, strike_secrets
from burstd.obs.metrics import BurstdCollector, Figures, LinkFigures, Mark, Waiting

KEY = (
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\nAAAABG5vbmU=\n"
    "-----END OPENSSH PRIVATE KEY-----"
)
WIREGUARD = base64.b64encode(bytes(range(32))).decode()


@pytest.mark.parametrize(
    "event",
    [
        {"cause": f"ssh said: {KEY} !"},
        {"cause": f"wg set wg0 private-key {WIREGUARD}"},
        {"private_key": "x"},
        {"preshared": "x"},
        {"api_token": "x"},
        {"password": "x"},
        {"Secret": b"bytes"},
        {"cause": {"offer": {"preshared_key": WIREGUARD}}},
        {"cause": [f"key {WIREGUARD}"]},
        {"error": ValueError(WIREGUARD)},
    ],
    ids=lambda e: next(iter(e)),
)
def test_a_secret_is_struck_out_wherever_it_stands(event: dict[str, object]) -> None:
    struck = json.dumps(strike_secrets(None, "info", dict(event)), default=repr)

    assert HIDDEN in struck
    for secret in ("b3BlbnNzaC1rZXkt", WIREGUARD, '"x"', "bytes"):
        assert secret not in struck


def test_what_is_no_secret_stays() -> None:
    digest = "ab" * 32
    event = {"event": "burst.moved", "image": digest, "key_of": "b-000000000001", "n": 3}

    assert event == strike_secrets(None, "info", dict(event))


def test_a_traceback_in_the_log_has_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    before = structlog.get_config()
    try:
        logs.configure()
        try:
            raise ValueError(f"bad key {WIREGUARD}")
        except ValueError:
            structlog.get_logger().exception("burst.broken")
    finally:
        structlog.configure(**before)
    line = json.loads(stream.getvalue())

    assert ("burst.broken", "error") == (line["event"], line["level"])
    assert "ValueError" in line["exception"]
    assert WIREGUARD not in stream.getvalue()


FIGURES = Figures(
    cluster="onprem",
    currency="EUR",
    pending={("cae", "phys", "Resources", "yes"): Waiting(7200.0, 1800.0, 2)},
    marks=(
        Mark("queue", 5.0, 0.5, True),
        Mark("crash", 2.0, 1.0),
        Mark("gpus", 3.0, 1.0, gpus=True),
    ),
    decided=Counter(leaves=1, paced=7),
    licences={("ansys", "reserved"): 12},
    bursts=Counter({("cloud", "running"): 2}),
    ended=Counter({("cloud", "settled"): 5}),
    spent={"cloud": 1.25},
    budgets={"month": (100.0, 98.75), "crash": (5.0, 0.0)},
    staged={("cloud", "in"): 1000},
    links=(LinkFigures("cloud", True, 1.7e9, 10, 20),),
    keys=Counter({("eu", "living"): 3, ("eu", "destroyed"): 0}),
    remains=Counter({"cloud": 7}),
    unlanded=Counter({"cloud": 2}),
    queue_seen=1.7e9,
)


@pytest.fixture
def scraped() -> dict[str, float]:
    """One scrape, by sample name and sorted labels, as Prometheus reads it."""
    registry = CollectorRegistry()
    registry.register(BurstdCollector(lambda: FIGURES))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        s.name + json.dumps(s.labels, sort_keys=True): s.value for f in families for s in f.samples
    }


def test_the_figures_are_there_under_the_names_that_dashboards_know(
    scraped: dict[str, float],
) -> None:
    expected = {
        'burstd_queue_pending_core_seconds{"account": "phys", "cluster": "onprem", '
        '"eligible": "yes", "partition": "cae", "reason": "Resources"}': 7200.0,
        'burstd_queue_pending_jobs{"account": "phys", "cluster": "onprem", '
        '"eligible": "yes", "partition": "cae", "reason": "Resources"}': 2.0,
        'burstd_policy_threshold_core_seconds{"edge": "high", "policy": "queue"}': 18000.0,
        'burstd_policy_threshold_core_seconds{"edge": "low", "policy": "queue"}': 1800.0,
        'burstd_policy_threshold_gpu_seconds{"edge": "high", "policy": "gpus"}': 10800.0,
        'burstd_queue_pending_gpu_seconds{"account": "phys", "cluster": "onprem", '
        '"eligible": "yes", "partition": "cae", "reason": "Resources"}': 1800.0,
        'burstd_policy_state{"cluster": "onprem", "policy": "queue", "state": "bursting"}': 1.0,
        'burstd_policy_state{"cluster": "onprem", "policy": "queue", "state": "idle"}': 0.0,
        'burstd_policy_state{"cluster": "onprem", "policy": "crash", "state": "idle"}': 1.0,
        'burstd_policy_decided_jobs{"reason": "paced"}': 7.0,
        'burstd_license_tokens{"license": "ansys", "state": "reserved"}': 12.0,
        'burstd_budget_remaining{"budget": "crash", "currency": "EUR"}': 0.0,
        'burstd_jobs{"state": "running", "target": "cloud"}': 2.0,
        'burstd_transfer_bytes_total{"direction": "in", "target": "cloud"}': 1000.0,
        'burstd_bucket_keys{"bucket": "eu", "state": "living"}': 3.0,
        'burstd_remains_bytes{"target": "cloud"}': 7.0,
        'burstd_unlanded_jobs{"target": "cloud"}': 2.0,
        'burstd_bucket_keys{"bucket": "eu", "state": "destroyed"}': 0.0,
        'burstd_tunnel_up{"target": "cloud"}': 1.0,
        'burstd_tunnel_last_handshake_timestamp_seconds{"target": "cloud"}': 1.7e9,
        'burstd_tunnel_bytes_total{"direction": "in", "target": "cloud"}': 10.0,
        'burstd_tunnel_bytes_total{"direction": "out", "target": "cloud"}': 20.0,
        'burstd_cost_total{"currency": "EUR", "kind": "compute", "target": "cloud"}': 1.25,
        'burstd_budget_limit{"budget": "month", "currency": "EUR"}': 100.0,
        'burstd_budget_remaining{"budget": "month", "currency": "EUR"}': 98.75,
        'burstd_queue_seen_timestamp_seconds{"cluster": "onprem"}': 1.7e9,
    }

    assert expected == {name: scraped.get(name) for name in expected}


def test_no_metric_carries_a_user_or_a_job(scraped: dict[str, float]) -> None:
    assert not [name for name in scraped if '"user"' in name or '"job' in name]


def test_ended_bursts_are_counted_by_outcome(scraped: dict[str, float]) -> None:
    found = {n: v for n, v in scraped.items() if '"outcome": "settled"' in n}

    assert [5.0] == list(found.values())
    assert all(name.split("{")[0].endswith("_total") for name in found)
