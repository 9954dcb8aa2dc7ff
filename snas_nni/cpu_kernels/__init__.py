"""Layers that PyTorch runs slowly on a CPU, run in ways that are fast there with the same results."""
