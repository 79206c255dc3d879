"""Request bodies to requests of the core: ``bodies`` reads, ``shape`` and ``scan`` are Go's JSON."""
