"""The concrete distribution (Gumbel-softmax) on rows of logits, in log space throughout.

Pure functions on tensors whose last dimension holds the C categories of one categorical variable. A logit of -inf
excludes its category: it has probability 0, weight 0 in every sample and no gradient, and everything else is that of
the categories that are left, of which each row has at least one. SNAS (arXiv
1812.09926) section 2.2 samples its relaxed architecture from this distribution; the density is that of Maddison
et al. (arXiv 1611.00712), equation 10.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["concrete_log_density", "concrete_log_sample", "entropy", "gumbel_noise"]

# The smallest uniform number kept: half of the finest step of torch.rand in float64. It bounds the noise to
# (-3.7, 36.8), so neither logarithm meets a zero.
_SMALLEST_UNIFORM = 2.0**-54

_DRAWING = ("cuda",)
"""Devices that draw their noise; others may lack float64."""


def gumbel_noise(
    shape: torch.Size | tuple[int, ...],
    generator: torch.Generator | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """Draw standard Gumbel noise, finite without exception.

    The uniform numbers are float64, whatever the model's precision is: float32 has only 2^24 of them, and one in
    2^24 would be the zero whose logarithm is infinite.

    Args:
        shape: shape of the result.
        generator: a CPU generator; PyTorch's global one if absent.
        device: where the noise is used. A GPU draws it by itself, from a seed that ``generator`` gives it: moving it
            there would make the host wait for all that the GPU has to do.

    Returns:
        float64 tensor of ``shape``, on a GPU if ``device`` is one that draws, else on the CPU.
    """
    there = None
    if device is not None and device.type in _DRAWING:
        generator, there = _generator_on(device, generator), device
    uniform = torch.rand(shape, generator=generator, dtype=torch.float64, device=there).clamp_(min=_SMALLEST_UNIFORM)
    return -torch.log(-torch.log(uniform))


def _generator_on(device: torch.device, generator: torch.Generator | None) -> torch.Generator:
    return torch.Generator(device).manual_seed(int(torch.randint(2**62, (), generator=generator)))


def concrete_log_sample(logits: Tensor, temperature: float, noise: Tensor) -> Tensor:
    """Turn Gumbel noise into the logarithm of a relaxed one-hot sample.

    Z^k = exp((a^k + G^k) / lambda) / sum_m exp((a^m + G^m) / lambda), returned as log Z. Formed by log-softmax:
    at low temperature most entries of Z underflow, their logarithms do not.

    Args:
        logits: unnormalised log-probabilities a, shape ``(..., C)``.
        temperature: lambda > 0.
        noise: standard Gumbel noise G, broadcastable to ``logits``.

    Returns:
        log Z, shape ``(..., C)``; differentiable with respect to ``logits``.
    """
    return torch.log_softmax((logits + noise) / temperature, dim=-1)


def concrete_log_density(log_sample: Tensor, logits: Tensor, temperature: float) -> Tensor:
    """Exact log-density of a relaxed sample on the open simplex.

    log p(z) = log (C-1)! + (C-1) log lambda + sum_k [a^k - (lambda+1) log z^k] - C logsumexp_k(a^k - lambda log z^k)

    For a score-function estimator pass a **detached** sample: with the sample attached, the two gradient paths
    nearly cancel and what is left pulls towards the uniform distribution.

    Args:
        log_sample: log z, shape ``(..., C)``.
        logits: a, shape ``(..., C)``.
        temperature: lambda > 0.

    Returns:
        log p(z) of each row, shape ``(...)``.
    """
    excluded = logits == -math.inf
    categories = (~excluded).sum(-1).to(logits.dtype)  # the simplex is that of the categories that are left
    constant = torch.lgamma(categories) + (categories - 1) * math.log(temperature)
    # -inf minus -inf is no number, so excluded entries are replaced before anything is computed with them.
    log_sample = log_sample.masked_fill(excluded, 0.0)
    tilted = (logits.masked_fill(excluded, 0.0) - (temperature + 1) * log_sample).sum(-1)
    normaliser = torch.logsumexp(logits - temperature * log_sample, dim=-1)
    return constant + tilted - categories * normaliser


def entropy(logits: Tensor) -> Tensor:
    """Entropy in nats of the categorical distributions softmax(a).

    Args:
        logits: a, shape ``(..., C)``.

    Returns:
        entropy of each row, shape ``(...)``, between 0 and log C.
    """
    log_probabilities = torch.log_softmax(logits, dim=-1)
    # p log p tends to 0 with p, where floating point would make 0 * -inf of it.
    finite = log_probabilities.masked_fill(logits == -math.inf, 0.0)
    return -(log_probabilities.exp() * finite).sum(-1)
