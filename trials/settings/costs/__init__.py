"""What a search may cost: bounds, and how milliseconds are measured."""
