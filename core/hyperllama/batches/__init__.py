"""Batches run here, on capacity that nobody else wants."""
