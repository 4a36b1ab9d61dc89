"""What `snowowl doctor` looks at: a module for each part of the machine, each a few findings.

A check reads and asks; it changes nothing that outlives it, needs no privilege, and ends soon.  What
cannot be found out is no fault: it is left out, or noted.
"""
