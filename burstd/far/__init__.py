"""The far end of a burst: pure standard library, for a foreign machine's Python 3.9."""
