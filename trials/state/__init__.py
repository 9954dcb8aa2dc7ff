"""What keeps a run safe: its folder, checkpoints, signals, failures, the processes beside it."""
