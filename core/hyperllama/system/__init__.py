"""What the operating system says and does: addresses, files, locks, memory, processes, threads."""
