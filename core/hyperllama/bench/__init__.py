"""Measuring the gateway: load, processor time, and a report of both."""
