"""Which child a search ends with: the candidates judged on held-out data, and the best one trained alone."""
