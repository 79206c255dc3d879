"""Models in plain numpy, each written from its published definition, for tests to compare engines with."""
