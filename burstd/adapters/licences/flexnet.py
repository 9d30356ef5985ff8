"""FlexNet: ``lmutil lmstat -a`` (or ``-f FEATURE``), of any release.

"In use" has what the options file reserves in it. A feature that is uncounted, or of which a
server can't tell, has no count in its line and so no pool.
"""

from __future__ import annotations

import re

from burstd.adapters.licences.counts import Count, scarcest

_FEATURE = re.compile(
    r"^Users of ([^\s:]\S*): +\(Total of (\d{1,12}) (?:\w+ )?licenses? issued; +"
    r"Total of (\d{1,12}) licenses? in use\)\s*$",
    re.MULTILINE | re.ASCII,
)


def parse(text: str) -> dict[str, Count]:
    """Every feature with its counts."""
    return scarcest(
        (name, Count(int(total), int(used))) for name, total, used in _FEATURE.findall(text)
    )
