"""How each of NNI's mutables runs under the current sample. No module here draws noise."""

import nni.nas.strategy  # noqa: F401  before nni.nas.oneshot: the other order silently breaks NNI's strategies
