"""Ring 3: the server.  A nursery tree around the pure core; see `snowowl.server.serve`."""
