"""What a call costs before it is sent, why a cache missed, and experiments over many calls."""
