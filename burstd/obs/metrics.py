"""What dashboards read: gauges made from the state at each scrape, base units, no job ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from burstd import __version__

HOUR = 3600


@dataclass(frozen=True)
class LinkFigures:
    """One link at this moment."""

    target: str
    up: bool
    last_handshake: float  #: seconds since 1970, 0 where there was none
    bytes_in: int
    bytes_out: int


@dataclass(frozen=True)
class Mark:
    """One pressure; marks in core-hours, or in GPU-hours."""

    policy: str
    high: float
    low: float
    surging: bool = False
    gpus: bool = False


@dataclass(frozen=True)
class Waiting:
    """What waits, by its limit. GPUs are those of jobs whose record has been read: that of a job
    that stays for another reason may not have been."""

    core_seconds: float = 0.0
    gpu_seconds: float = 0.0
    jobs: int = 0


@dataclass(frozen=True)
class Figures:
    """Everything that is shown, as plain values."""

    cluster: str
    currency: str
    #: By (partition, account, reason, eligible).
    pending: dict[tuple[str, str, str, str], Waiting] = field(default_factory=dict)
    marks: tuple[Mark, ...] = ()  #: the whole queue's first
    frozen: bool = False
    decided: Counter[str] = field(default_factory=Counter)  #: jobs by the last decision's word
    licences: dict[tuple[str, str], int] = field(default_factory=dict)  #: by (name, state)
    policy_ok: bool = True  #: its files say what holds
    bursts: Counter[tuple[str, str]] = field(default_factory=Counter)  #: (target, stage), open
    ended: Counter[tuple[str, str]] = field(default_factory=Counter)  #: (target, final stage)
    spent: dict[str, float] = field(default_factory=dict)  #: by target
    budgets: dict[str, tuple[float, float]] = field(default_factory=dict)  #: name -> cap, left
    staged: dict[tuple[str, str], int] = field(default_factory=dict)  #: (target, direction)
    links: tuple[LinkFigures, ...] = ()
    unreadable: Counter[str] = field(default_factory=Counter)  #: by target
    keys: Counter[tuple[str, str]] = field(default_factory=Counter)  #: (bucket, state)
    remains: Counter[str] = field(default_factory=Counter)  #: bytes by target
    #: Jobs by target whose results never came home, and which nobody has fetched.
    unlanded: Counter[str] = field(default_factory=Counter)
    queue_seen: float = 0.0  #: seconds since 1970


class BurstdCollector(Collector):
    """Asks for the figures at each scrape: counters come from the ledger, so restarts of the
    daemon do not reset them."""

    def __init__(self, figures: Callable[[], Figures]) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        f = self._figures()
        yield _gauge("burstd_build_info", "The program.", {"version": __version__}, 1)
        yield from _pending(f)
        yield from _policy(f)
        yield _gauge(
            "burstd_policy_current",
            "0 while the policy's files can't be used: the one before holds.",
            {"cluster": f.cluster},
            f.policy_ok,
        )
        yield from _bursts(f)
        yield from _money(f)
        yield from _links(f)
        yield _gauge(
            "burstd_queue_seen_timestamp_seconds",
            "When the queue was last read whole.",
            {"cluster": f.cluster},
            f.queue_seen,
        )


def _gauge(name: str, about: str, labels: dict[str, str], value: float) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, about, labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family


def _pending(f: Figures) -> Iterator[Metric]:
    labels = ["cluster", "partition", "account", "reason", "eligible"]
    seconds = GaugeMetricFamily(
        "burstd_queue_pending_core_seconds", "CPUs times time limit of pending jobs.", labels=labels
    )
    gpus = GaugeMetricFamily(
        "burstd_queue_pending_gpu_seconds", "GPUs times time limit of pending jobs.", labels=labels
    )
    jobs = GaugeMetricFamily("burstd_queue_pending_jobs", "Pending jobs.", labels=labels)
    for key, waiting in f.pending.items():
        seconds.add_metric([f.cluster, *key], waiting.core_seconds)
        gpus.add_metric([f.cluster, *key], waiting.gpu_seconds)
        jobs.add_metric([f.cluster, *key], waiting.jobs)
    yield from (seconds, gpus, jobs)


def _policy(f: Figures) -> Iterator[Metric]:
    marks = GaugeMetricFamily(
        "burstd_policy_threshold_core_seconds",
        "Bursting starts at edge high and stops below edge low.",
        labels=["policy", "edge"],
    )
    states = GaugeMetricFamily(
        "burstd_policy_state", "1 in the state that holds.", labels=["cluster", "policy", "state"]
    )
    gpu_marks = GaugeMetricFamily(
        "burstd_policy_threshold_gpu_seconds",
        "The same, of pressures whose marks are GPU-hours.",
        labels=["policy", "edge"],
    )
    for mark in f.marks:
        for edge, hours in (("high", mark.high), ("low", mark.low)):
            (gpu_marks if mark.gpus else marks).add_metric([mark.policy, edge], hours * HOUR)
        holds = "frozen" if f.frozen else "bursting" if mark.surging else "idle"
        for state in ("idle", "bursting", "frozen"):
            states.add_metric([f.cluster, mark.policy, state], float(state == holds))
    yield from (marks, gpu_marks, states)
    decided = GaugeMetricFamily(
        "burstd_policy_decided_jobs", "Jobs by the last decision's word.", labels=["reason"]
    )
    yield _filled(decided, f.decided)
    tokens = GaugeMetricFamily(
        "burstd_license_tokens",
        "Licences: total, used by anybody, kept for others, reserved for bursts.",
        labels=["license", "state"],
    )
    yield _filled(tokens, f.licences)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: Mapping[Any, float]) -> Metric:
    """With a sample for each key: a label's value, or those of all labels in their order."""
    for key, value in values.items():
        family.add_metric([key] if isinstance(key, str) else list(key), value)
    return family


def _bursts(f: Figures) -> Iterator[Metric]:
    now = GaugeMetricFamily("burstd_jobs", "Open bursts.", labels=["target", "state"])
    yield _filled(now, f.bursts)
    ended = CounterMetricFamily("burstd_jobs_ended", "Bursts ended.", labels=["target", "outcome"])
    yield _filled(ended, f.ended)
    moved = CounterMetricFamily(
        "burstd_transfer_bytes", "Bytes staged, by file size.", labels=["target", "direction"]
    )
    yield _filled(moved, f.staged)
    unreadable = CounterMetricFamily(
        "burstd_far_records_unreadable",
        "Answers about one of our jobs that could not be read, since burstd was started.",
        labels=["target"],
    )
    yield _filled(unreadable, f.unreadable)
    keys = GaugeMetricFamily(
        "burstd_bucket_keys",
        "Keys of what lies in a bucket: in use, or destroyed while its objects are still there.",
        labels=["bucket", "state"],
    )
    yield _filled(keys, f.keys)
    remains = GaugeMetricFamily(
        "burstd_remains_bytes",
        "On-demand results that stay at a target behind their jobs' ends.",
        labels=["target"],
    )
    yield _filled(remains, f.remains)
    unlanded = GaugeMetricFamily(
        "burstd_unlanded_jobs",
        "Jobs whose stand-ins ended before their results were home, and nobody has fetched any.",
        labels=["target"],
    )
    yield _filled(unlanded, f.unlanded)


def _money(f: Figures) -> Iterator[Metric]:
    cost = CounterMetricFamily(
        "burstd_cost", "Spent, an estimate.", labels=["target", "kind", "currency"]
    )
    for target, amount in f.spent.items():
        cost.add_metric([target, "compute", f.currency], amount)
    yield cost
    labels = ["budget", "currency"]
    caps = GaugeMetricFamily("burstd_budget_limit", "Of the present period.", labels=labels)
    left = GaugeMetricFamily(
        "burstd_budget_remaining", "Neither spent nor reserved.", labels=labels
    )
    for name, (cap, rest) in f.budgets.items():
        caps.add_metric([name, f.currency], cap)
        left.add_metric([name, f.currency], rest)
    yield caps
    yield left


def _links(f: Figures) -> Iterator[Metric]:
    up = GaugeMetricFamily("burstd_tunnel_up", "1 if the link answers.", labels=["target"])
    seen = GaugeMetricFamily(
        "burstd_tunnel_last_handshake_timestamp_seconds", "0: never.", labels=["target"]
    )
    moved = CounterMetricFamily(
        "burstd_tunnel_bytes", "Bytes since the link is up.", labels=["target", "direction"]
    )
    for link in f.links:
        up.add_metric([link.target], float(link.up))
        seen.add_metric([link.target], link.last_handshake)
        moved.add_metric([link.target, "in"], link.bytes_in)
        moved.add_metric([link.target, "out"], link.bytes_out)
    yield up
    yield seen
    yield moved


def serve(address: str, figures: Callable[[], Figures]) -> Callable[[], None]:
    """Answer /metrics at ``host:port``; returns what stops it."""
    host, _, port = address.rpartition(":")
    registry = CollectorRegistry()
    registry.register(BurstdCollector(figures))
    server, thread = start_http_server(int(port), host or "127.0.0.1", registry)

    def stop() -> None:
        server.shutdown()
        thread.join(5)

    return stop
