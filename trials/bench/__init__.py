"""Comparisons of search methods that a user can repeat on data of their own: ``snas-nni bench``."""
