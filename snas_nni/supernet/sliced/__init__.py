"""Layers whose choices of sizes share one large weight, of which each child has a slice."""
