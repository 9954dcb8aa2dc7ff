"""How fast a SNAS search step is, next to NNI's own one-shot strategies and to training a child."""
