"""What accuracy costs: the front of one search's children, and of an experiment's trials."""
