"""Port ``Link`` over burst-netd."""
