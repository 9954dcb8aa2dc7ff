"""How each of NNI's mutables runs under the current sample. No module here draws noise."""
