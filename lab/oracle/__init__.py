"""The judge: from what both sites show, is what burstd did right? It asks burstd for nothing but
which twin belongs to which job, and whether its ledger obeys its own rules.

`gather` looks, `checks.judge` judges (pure), `notary.Notary` watches while a run is under way.
"""

from lab.oracle.checks import Finding, judge
from lab.oracle.evidence import Errand, Evidence, FileSeen
from lab.oracle.gather import gather
from lab.oracle.notary import Notary

__all__ = ["Errand", "Evidence", "FileSeen", "Finding", "Notary", "gather", "judge"]
