"""Which models there are, which are loaded, and which goes when memory is short."""
