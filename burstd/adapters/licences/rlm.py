"""RLM: ``rlmutil rlmstat -a`` (or ``-p PRODUCT``).

A product has a line with its name and version and, right below, one with its counts; products
that are uncounted or made of tokens have other words there, and no pool. Reserved licences are
taken for used ones, whether they are or not.
"""

from __future__ import annotations

import re

from burstd.adapters.licences.counts import Count, scarcest

_PRODUCT = re.compile(
    r"^[ \t]*(\S+) v[\d.]+(?:, pool: \d+)?[ \t]*\r?\n"
    r"[ \t]*count: (\d{1,12}), # reservations: (\d{1,12}), inuse: (\d{1,12}), exp: \S",
    re.MULTILINE | re.ASCII,
)


def parse(text: str) -> dict[str, Count]:
    """Every product with its counts, its versions taken together."""
    return scarcest(
        (name, Count(int(count), int(reserved) + int(used)))
        for name, count, reserved, used in _PRODUCT.findall(text)
    )
