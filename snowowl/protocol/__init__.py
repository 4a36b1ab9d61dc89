"""Ring 1: TFTP as state machines.  Events in, actions out.

Nothing here opens a socket, reads a clock, draws a random number, logs, or touches a file: `now` is
an argument, the next `deadline` an attribute, what to do a return value.  To drive a transfer:

1. Make it (`ReadTransfer`, `WriteTransfer` for a server, `ReadInitiator`, `WriteInitiator` for a
   client) and carry out what `start(now)` returns.
2. Hand each datagram of its peer to `handle(DatagramsReceived(...))` and carry out the actions.
3. When `deadline` has come, `handle(TimerExpired(now))`.
4. Tell it when content is late, there, stored or broken (`snowowl.protocol.events`).
5. Stop when `finished`; `outcome` says how it went.

Nothing that a peer sends makes `handle` raise.
"""
