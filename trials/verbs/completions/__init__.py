"""Scripts for shells, in which the verbs are filled in."""
