"""Training and judging a network: Lightning modules, callbacks, trainers, evaluation."""
