"""The demo's story, judged on every line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from demo.__main__ import BUILD
from demo.story import Story
from demo.verdict import judge, write
from tests.lab.conftest import Site

pytestmark = pytest.mark.lab
READ_METRICS = """
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:9817/metrics").read().decode())
"""


def test_a_full_queue_overflows_into_the_cloud_and_the_results_come_home(
    site: Site, tmp_path: Path
) -> None:
    evidence = Story(site.lab, BUILD, lambda text, done: None).play()
    checks = judge(evidence)
    metrics = site.px.run(["python3", "-c", READ_METRICS]).stdout

    assert [] == [f"{check.name}: {check.detail}" for check in checks if not check.ok]
    assert write(checks, tmp_path / "verdict.json")
    assert {"ok", "checks"} == set(json.loads((tmp_path / "verdict.json").read_text()))
    for line in (
        'burstd_jobs_ended_total{outcome="settled",target="cloud"} 11.0',
        'burstd_tunnel_up{target="cloud"} 0.0',
        'burstd_policy_threshold_core_seconds{edge="high",policy="queue"} 18000.0',
    ):
        assert line in metrics
    assert 'burstd_cost_total{currency="EUR",kind="compute",target="cloud"}' in metrics
    assert 'burstd_transfer_bytes_total{direction="out",target="cloud"}' in metrics
