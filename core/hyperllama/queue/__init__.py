"""Fair waiting for a busy model, and requests gathered into one batch."""
