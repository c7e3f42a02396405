"""Before a call: what it will take and hit, why it would miss, and what the cache is like by its own account."""
