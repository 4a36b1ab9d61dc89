"""Ring 0: octets and what they mean.  Pure and total; imports nothing from the other rings."""
