"""SQL: keys, usage, records, files, batches and the audit log, on SQLite or PostgreSQL."""
