"""Run batches on capacity that no client waits for."""
