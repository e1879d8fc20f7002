"""Studies: a configuration, its tasks, the store of their records, and running them."""
