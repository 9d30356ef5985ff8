"""How a line is shared by the bursts that move files over it. Pure.

Max-min fairness with weights (Bertsekas and Gallager, Data Networks, 6.5.2): nobody gets more than
it uses while another wants more, and what is left goes to those that want it, by their weight.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from burstd.domain.burst import Burst, BurstId, Stage

#: Inputs first, for the job waits for them; then what a user watches; then results.
_WEIGHTS: Mapping[Stage, float] = {Stage.STAGING_IN: 4, Stage.RUNNING: 2, Stage.CANCELLING: 2}
#: Bytes a second that anybody gets: the far end ends a conversation that is silent for two minutes,
#: and a pack has 4 MiB.
LEAST = 64 * 2**10


@dataclass(frozen=True)
class Flow:
    """``wants``: bytes a second; infinite: as many as there are."""

    weight: float
    wants: float = math.inf


def weight(burst: Burst) -> float:
    """How much of a line it gets, against others."""
    return _WEIGHTS.get(burst.stage, 1)


def shares(rate: float, flows: Mapping[BurstId, Flow]) -> dict[BurstId, float]:
    """Bytes a second for each; all together ``rate``, unless many get ``LEAST``."""
    open_flows, left, found = dict(flows), rate, dict[BurstId, float]()
    while open_flows:
        unit = max(0.0, left) / sum(flow.weight for flow in open_flows.values())
        modest = [key for key, flow in open_flows.items() if flow.wants < unit * flow.weight]
        if not modest:
            found |= {key: unit * flow.weight for key, flow in open_flows.items()}
            break
        for key in modest:
            found[key] = open_flows.pop(key).wants
            left -= found[key]
    if not open_flows and flows:  # nobody wants more: who does after all gets it at once
        unit = max(0.0, left) / sum(flow.weight for flow in flows.values())
        found = {key: share + unit * flows[key].weight for key, share in found.items()}
    return {key: max(LEAST, found[key]) for key in flows}
