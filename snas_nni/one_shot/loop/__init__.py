"""The search step, and the loop of one's own around it; Lightning's is :mod:`snas_nni.one_shot.lightning_module`."""
