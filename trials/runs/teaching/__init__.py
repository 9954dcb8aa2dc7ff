"""Training of a child after its search, and the teachers that it, or the supernet, can have."""
