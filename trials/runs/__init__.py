"""One run from its settings to what it leaves: a search, a retraining, a quantized file."""
