"""Pages for one person on this machine: a server of loopback, behind an address that only they were told."""
