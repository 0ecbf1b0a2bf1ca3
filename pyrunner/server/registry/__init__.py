"""``/v2/``: the store as a read-only OCI registry (distribution specification 1.1, pull)."""
