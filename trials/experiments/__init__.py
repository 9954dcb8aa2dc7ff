"""NNI experiments: the file that describes one, its manager, its trials, and how they are shown."""
