"""Port ``RemoteShell`` on the OpenSSH client, with burstd's own certificate authority."""
