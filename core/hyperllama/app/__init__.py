"""The composition root: plugins loaded, rooms built and wired, the configuration reloaded, the server run."""
