"""Questions about the children of a space that a solver answers exactly: ranges, bounds, the most probable ones."""
