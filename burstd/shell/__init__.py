"""Effects in order: calls core and ports, knows no vendor."""
