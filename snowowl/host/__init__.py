"""What the operating system gives a daemon, and takes from it: users, Landlock, systemd.

System calls and their checks only: what is dropped, confined or told, and when, is decided by who
calls.  Knows nothing of TFTP.
"""
