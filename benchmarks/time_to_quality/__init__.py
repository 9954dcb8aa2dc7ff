"""Seconds until the child that a method would hand over now reaches a level on held-out data."""
