"""What a search and a retraining can be given: names, defaults, ranges, and how files are read."""
