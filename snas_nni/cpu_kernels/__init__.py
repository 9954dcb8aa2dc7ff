"""Layers run in ways that are fast on a CPU, or that keep less for the backward pass, with the same results."""
