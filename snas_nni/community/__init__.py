"""Options out of later papers that are not proven here, each with its source; off unless they are asked for.

The paper's method needs none of them. They know the distribution, and nothing of the search that asks them.
"""
