"""Placeholder until this room is filled."""
