"""Ring 2: batches of UDP datagrams, as cheaply as the platform allows.  Knows nothing of TFTP.

`interface` says what an endpoint is, `portable` is the one for every platform, `system` opens them.
"""
