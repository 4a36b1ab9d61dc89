"""What happens, told: events, and who listens to them.  Never waits, never fails a transfer."""
