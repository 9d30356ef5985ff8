"""How fast inputs travel, against what an administrator would use: ``python -m bench.transfer``."""
