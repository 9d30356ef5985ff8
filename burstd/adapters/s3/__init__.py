"""Port ``Bucket`` by S3: Amazon's own, Ceph's gateway, and servers that speak it like them."""
