"""For all rooms: burstd's own log lines stay out of the tests' output."""

from __future__ import annotations

import logging

import pytest
import structlog

pytest.register_assert_rewrite("burstd.testing.contracts")
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
