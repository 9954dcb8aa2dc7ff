"""From an architecture file and weights back to a network, without trusting either."""
