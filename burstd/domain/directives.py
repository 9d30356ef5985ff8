"""What a job's user asks of burstd, in ``#BURST`` lines of its script and in its comment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum

from burstd.domain.targets import TargetName


class JobMode(Enum):
    """How willing its user is. The later ones need the site's leave (``policy.modes``)."""

    AUTO = "auto"  #: as the policy says
    NEVER = "never"  #: it stays
    PREFER = "prefer"  #: it leaves before others, whatever its leaving spares
    REQUIRE = "require"  #: it leaves without pressure too


@dataclass(frozen=True)
class Directives:
    """Of one job. None of them lets it go where the policy does not."""

    mode: JobMode = JobMode.AUTO
    application: str = ""  #: a profile's name; empty: the one that its script shows
    classes: tuple[str, ...] = ()  #: of its data, beside the site's labels
    licences: str = ""  #: ``NAME:COUNT,...``, as it stands there
    targets: frozenset[TargetName] | None = None  #: nowhere else; ``None``: anywhere
    deadline: datetime | None = None  #: by which it shall be over
    most_cost: Decimal | None = None  #: in the site's currency, worst case
    checkpoint: str = ""  #: the signal at which it saves its state and ends with CHECKPOINTED
    unread: tuple[str, ...] = ()  #: words that say nothing: who wrote them meant something


NONE = Directives()
