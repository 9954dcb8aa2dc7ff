"""A model space from any network: its channels, its residual blocks and its depthwise kernels may be fewer."""

from .space import FromModel, space_from

__all__ = ["FromModel", "space_from"]
