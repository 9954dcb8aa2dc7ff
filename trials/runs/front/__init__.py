"""The front of a search: the best child of each of several budgets, and the file that tells of them."""
