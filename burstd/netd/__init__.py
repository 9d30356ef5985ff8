"""burst-netd: the small helper that may touch the network (CAP_NET_ADMIN and nothing else).

It knows links by name from its own configuration and takes a handful of typed verbs over a Unix
socket; it never takes addresses, keys or commands from its caller.
"""
