"""Verbs for a finished network: files for other programs, and what they answer."""
