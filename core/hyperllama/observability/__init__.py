"""The log, metrics, and the record that each request leaves."""
