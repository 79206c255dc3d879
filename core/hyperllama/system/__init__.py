"""Services of the operating system: addresses, files, locks, memory, processes and threads."""
