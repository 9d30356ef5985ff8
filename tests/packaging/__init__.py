"""What is shipped: units, wheel, example, documents, commands, and the state of the source."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
