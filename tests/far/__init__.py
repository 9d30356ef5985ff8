"""The far end, tested as the built program, over pipes, with real containers."""
