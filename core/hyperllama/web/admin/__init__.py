"""The admin API: keys, usage, models, queues and the audit log."""
