"""Rate limits and quotas: reserved before a request, settled after it, in memory or in Redis."""
