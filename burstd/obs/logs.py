"""structlog: JSON lines unless a person looks; one pipeline, secrets struck out."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping

import structlog
from structlog.typing import EventDict, WrappedLogger

_SECRET_NAMES = re.compile(r"(private|preshared|secret|token|password)", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----"
    r"|(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{43}=(?!=)",  # the latter: a WireGuard key
    re.DOTALL,
)
HIDDEN = "(hidden)"


def burst_under_way() -> str:
    """The id of the burst that this thread works for; empty for none."""
    return str(structlog.contextvars.get_contextvars().get("burst_id", ""))


def strike_secrets(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Hide values that are named or look like keys, however deep they lie."""
    return {name: _struck(name, value) for name, value in event.items()}


def _struck(name: object, value: object) -> object:
    if _SECRET_NAMES.search(str(name)):
        return HIDDEN
    if isinstance(value, Mapping):
        return {inner: _struck(inner, v) for inner, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_struck("", v) for v in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _SECRET_TEXT.sub(HIDDEN, value if isinstance(value, str) else str(value))


def configure(level: str = "info") -> None:
    """Set up logging for this process; vendors' loggers go the same way from warning up."""
    person = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            strike_secrets,
            structlog.dev.ConsoleRenderer() if person else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
