"""The operator's TOML: read whole, checked whole, turned into the core's own values."""
