"""Which models are loaded: the ledger, the memory budget, starting and talking to workers."""
