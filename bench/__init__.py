"""Measurements that the documents quote. They run on the lab."""
