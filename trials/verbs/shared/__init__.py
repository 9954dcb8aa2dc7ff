"""What several verbs share: options in one spelling, settings and the NNI trial of a run."""
