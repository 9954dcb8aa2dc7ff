"""What a run leaves beside its child so that a reader can judge it: right and wrong by class, children of chance."""
