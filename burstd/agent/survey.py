"""``python -m burstd.agent.survey RESOLVER SCRIPT [ARGUMENTS]``: which files would leave with a
job that is submitted from here. Reads names and sizes only; prints JSON. On stdin, as JSON: the
target, and the classes whose data may not go there."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from burstd.agent.decks import MissingInput
from burstd.agent.facts import sizes
from burstd.agent.inputs import NotStageable, Stays, allowed, find, readable
from burstd.agent.standin import StandIn
from burstd.agent.walk import Look


def survey(
    resolver: str, argv: Sequence[str], target: str = "", stays: Stays = ()
) -> dict[str, object]:
    """Names and sizes in bytes; or why the job would stay for want or for the sake of them."""
    here = Path.cwd()
    exports = {"SLURM_SUBMIT_DIR": str(here), "SLURM_JOB_NAME": Path(argv[0]).name}
    job = StandIn("0", 0, Path(argv[0]), tuple(argv[1:]), here, {**os.environ, **exports}, True)
    try:
        paths = readable(find(Look(), job, resolver))
        allowed(paths, stays, target)
    except (MissingInput, NotStageable, OSError) as error:
        return {"refused": str(error)}
    files = list(zip(paths, sizes(paths), strict=True))
    return {"files": files, "bytes": sum(size for _, size in files)}


if __name__ == "__main__":
    json.dump(survey(sys.argv[1], sys.argv[2:], *json.load(sys.stdin)), sys.stdout)
