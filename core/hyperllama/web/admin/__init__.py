"""The admin API: keys, usage, what runs and waits, and who changed what."""
