"""What a reader needs to believe a run: answers to first questions, right and wrong by class, children of chance."""
