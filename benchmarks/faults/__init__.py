"""Faults: what a search, its files and its machine can suffer."""
