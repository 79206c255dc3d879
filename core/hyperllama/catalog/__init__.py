"""The models of this gateway, their loading, and their eviction when memory is short."""
