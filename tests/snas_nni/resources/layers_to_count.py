"""Ordinary layers and tensor operations, each with an input: what the counter is shown in both memory orders."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Calling(nn.Module):
    """A network of one function; ``parts`` are layers that it uses."""

    def __init__(self, function: Callable[..., Any], *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self._function = function

    def forward(self, *inputs: Tensor) -> Any:
        return self._function(*self.parts, *inputs)


def images(channels: int = 8, count: int = 1, side: int = 8) -> Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(0))


def sequence() -> Tensor:
    return torch.rand(1, 5, 8, generator=torch.Generator().manual_seed(0))


def tokens() -> Tensor:
    return torch.arange(5)[None]


def vectors() -> Tensor:
    return sequence()[0, :2]


ACTIVATIONS = [
    "ReLU",
    "ReLU6",
    "LeakyReLU",
    "GELU",
    "SiLU",
    "Sigmoid",
    "Tanh",
    "Hardtanh",
    "Hardswish",
    "Hardsigmoid",
    "ELU",
    "SELU",
    "CELU",
    "Softplus",
    "Softsign",
    "Mish",
    "LogSigmoid",
    "Hardshrink",
    "Softshrink",
    "Tanhshrink",
    "RReLU",
    "PReLU",
    "Identity",
    "Dropout",
    "Dropout2d",
    "AlphaDropout",
    "Softmax2d",
    "Flatten",
]
IN_PLACE = [
    "ReLU",
    "ReLU6",
    "LeakyReLU",
    "SiLU",
    "Hardtanh",
    "Hardswish",
    "Hardsigmoid",
    "ELU",
    "SELU",
    "CELU",
    "Mish",
    "RReLU",
    "Dropout",
]


def attention(layer: nn.Module, x: Tensor, **more: Any) -> Tensor:
    return layer(x, x, x, **more)[0]


def as_tokens(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)


def layers() -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
    """``{name: (layer, inputs)}``."""
    torch.manual_seed(0)
    four = {
        **{name: getattr(nn, name)() for name in ACTIVATIONS},
        **{f"{name} in place": getattr(nn, name)(inplace=True) for name in IN_PLACE},
        "Softmax": nn.Softmax(1),
        "LogSoftmax": nn.LogSoftmax(-1), "GLU": nn.GLU(1), "Threshold": nn.Threshold(0.1, 0.0),
        "Conv2d": nn.Conv2d(8, 4, 3, padding=1), "Conv2d depthwise": nn.Conv2d(8, 8, 3, groups=8),
        "Conv2d 1x1": nn.Conv2d(8, 4, 1, bias=False), "Conv2d strided": nn.Conv2d(8, 4, 3, stride=2),
        "Conv2d reflect": nn.Conv2d(8, 4, 3, padding=1, padding_mode="reflect"),
        "Conv2d circular": nn.Conv2d(8, 4, 3, padding=1, padding_mode="circular"),
        "Conv2d replicate": nn.Conv2d(8, 4, 3, padding=1, padding_mode="replicate"),
        "Conv2d same": nn.Conv2d(8, 4, 3, padding="same", dilation=2), "ConvTranspose2d": nn.ConvTranspose2d(8, 4, 3),
        "MaxPool2d": nn.MaxPool2d(2), "AvgPool2d": nn.AvgPool2d(3, 1, 1), "LPPool2d": nn.LPPool2d(2, 2),
        "FractionalMaxPool2d": nn.FractionalMaxPool2d(2, output_size=3),
        "AdaptiveAvgPool2d 1": nn.AdaptiveAvgPool2d(1), "AdaptiveAvgPool2d 3": nn.AdaptiveAvgPool2d(3),
        "AdaptiveMaxPool2d 1": nn.AdaptiveMaxPool2d(1), "AdaptiveMaxPool2d 3": nn.AdaptiveMaxPool2d(3),
        "BatchNorm2d": nn.BatchNorm2d(8), "InstanceNorm2d": nn.InstanceNorm2d(8, affine=True),
        "GroupNorm": nn.GroupNorm(2, 8), "LayerNorm": nn.LayerNorm([8, 8, 8]), "LayerNorm last": nn.LayerNorm(8),
        "LocalResponseNorm": nn.LocalResponseNorm(2), "RMSNorm": nn.RMSNorm(8),
        "PixelShuffle": nn.PixelShuffle(2), "PixelUnshuffle": nn.PixelUnshuffle(2),
        "ChannelShuffle": nn.ChannelShuffle(2),
        "Unfold and Fold": nn.Sequential(nn.Unfold(2, stride=2), nn.Fold((8, 8), 2, stride=2)),
        "ZeroPad2d": nn.ZeroPad2d(1), "ReflectionPad2d": nn.ReflectionPad2d(1), "CircularPad2d": nn.CircularPad2d(1),
        "Linear": nn.Linear(8, 40), "Linear without bias": nn.Linear(8, 4, bias=False),
        "Upsample": nn.Upsample(scale_factor=2),
        "Linear on channels": Calling(lambda layer, x: layer(x.permute(0, 2, 3, 1)), nn.Linear(8, 40)),
        "Linear on tokens": Calling(lambda layer, x: layer(as_tokens(x)), nn.Linear(8, 40)),
        "Flatten and Linear": nn.Sequential(nn.Flatten(), nn.Linear(512, 4)),
        "squeeze and excite": Calling(
            lambda pool, first, second, x: x * second(first(pool(x)).relu()).sigmoid(),
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1),
        ),
        "MultiheadAttention of pixels": Calling(
            lambda layer, x: attention(layer, as_tokens(x)), nn.MultiheadAttention(8, 2, batch_first=True)
        ),
    }  # fmt: skip
    return {
        **{name: (layer, (images(),)) for name, layer in four.items()},
        "CosineSimilarity": (nn.CosineSimilarity(), (images(), images())),
        "PairwiseDistance": (nn.PairwiseDistance(), (images(), images())),
        "Conv1d": (nn.Conv1d(5, 4, 3), (sequence(),)),
        "Conv3d": (nn.Conv3d(1, 4, 3), (images()[None],)),
        "MaxPool1d": (nn.MaxPool1d(2), (sequence(),)), "AvgPool1d": (nn.AvgPool1d(2), (sequence(),)),
        "MaxPool3d": (nn.MaxPool3d(2), (images()[None],)), "AvgPool3d": (nn.AvgPool3d(2), (images()[None],)),
        "AdaptiveAvgPool1d": (nn.AdaptiveAvgPool1d(1), (sequence(),)),
        "AdaptiveMaxPool1d": (nn.AdaptiveMaxPool1d(2), (sequence(),)),
        "AdaptiveAvgPool3d": (nn.AdaptiveAvgPool3d(1), (images()[None],)),
        "BatchNorm1d": (nn.BatchNorm1d(8), (vectors(),)),
        "Bilinear": (nn.Bilinear(8, 8, 4), (vectors(), vectors())),
        "Linear on a sequence": (nn.Linear(8, 4), (sequence(),)),
        "Embedding": (nn.Embedding(10, 8), (tokens(),)), "EmbeddingBag": (nn.EmbeddingBag(10, 8), (tokens(),)),
        "MultiheadAttention": (Calling(attention, nn.MultiheadAttention(8, 2, batch_first=True)), (sequence(),)),
        "MultiheadAttention without weights": (
            Calling(lambda m, x: attention(m, x, need_weights=False), nn.MultiheadAttention(8, 2)), (sequence(),)
        ),
        "TransformerEncoderLayer": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (sequence(),)),
        "TransformerDecoderLayer": (nn.TransformerDecoderLayer(8, 2, 16, batch_first=True), (sequence(), sequence())),
        "Transformer": (nn.Transformer(8, 2, 1, 1, 16, batch_first=True), (sequence(), sequence())),
        "LSTM": (nn.LSTM(8, 4, batch_first=True), (sequence(),)),
        "LSTM of two layers, both ways": (nn.LSTM(8, 4, 2, batch_first=True, bidirectional=True), (sequence(),)),
        "GRU": (nn.GRU(8, 4, batch_first=True), (sequence(),)), "RNN": (nn.RNN(8, 4, batch_first=True), (sequence(),)),
        "LSTMCell": (nn.LSTMCell(8, 4), (vectors(),)), "GRUCell": (nn.GRUCell(8, 4), (vectors(),)),
        "RNNCell": (nn.RNNCell(8, 4), (vectors(),)),
    }  # fmt: skip


def _resized(mode: str, **size: Any) -> Callable[[Tensor], Tensor]:
    return lambda x: functional.interpolate(x, mode=mode, **size)


FUNCTIONS: dict[str, Callable[[Tensor], Any]] = {
    **{f"interpolate {mode}": _resized(mode, scale_factor=2) for mode in ("nearest", "bilinear", "bicubic", "area")},
    "interpolate nearest-exact": _resized("nearest-exact", scale_factor=2),
    "interpolate antialias": _resized("bilinear", size=4, antialias=True),
    "grid_sample": lambda x: functional.grid_sample(
        x, functional.affine_grid(torch.eye(2, 3)[None], list(x.shape), align_corners=False), align_corners=False
    ),
    "attention": lambda x: functional.scaled_dot_product_attention(x, x, x),
    "causal attention": lambda x: functional.scaled_dot_product_attention(x, x, x, is_causal=True),
    "einsum scale": lambda x: torch.einsum("nchw,nc->nchw", x, x.mean((2, 3))),
    "einsum attention": lambda x: torch.einsum("nchw,ncij->nhwij", x, x),
    "einsum weights": lambda x: torch.einsum("nchw,cd->ndhw", x, torch.ones(8, 4)),
    "matmul": lambda x: x @ x.transpose(-1, -2),
    "matmul vector": lambda x: x @ torch.ones(8),
    "matmul weights": lambda x: x @ torch.ones(8, 4),
    "matmul and bias": lambda x: x @ torch.ones(8, 40) + torch.ones(40),
    "cdist": lambda x: torch.cdist(x, x),
    "outer": lambda x: torch.outer(x.flatten(), x.flatten()),
}

_OPERATIONS = """
x.squeeze_()  x.unsqueeze_(0)  x.transpose_(1,2)  x.swapaxes_(1,2)  x.as_strided((2,2),(1,2))
x.as_strided_((2,2),(1,2))  x.reshape(1,-1)  x.flatten()  x.unflatten(1,(2,4))  x.movedim(1,-1)
x.narrow(1,0,2)  x.chunk(2,1)  x.split(3,1)  x.tensor_split(3,1)  x.unbind(1)  x.select(1,0)  x[:,1:]
x[:,None]  x[...,::2]  x[x>0.5]  x[:,[1,2]]  x.expand(4,8,8,8)  x.repeat(1,2,1,1)  x.repeat_interleave(2,1)
x.tile(2)  x.roll(1,2)  x.flip(1)  x.rot90(1,(2,3))  x.diagonal(0,2,3)  x.diag_embed()  x.unfold(2,2,2)  x.mT
x.real  x.ravel()  x.clone()  x.double().float()  x.to(torch.bfloat16)  x.add_(1)  x.sub_(1)  x.mul_(2)
x.div_(2)  x.neg_()  x.abs_()  x.sqrt_()  x.rsqrt_()  x.exp_()  x.log_()  x.log1p_()  x.clamp_(0,1)
x.clamp_min_(0)  x.relu_()  x.sigmoid_()  x.tanh_()  x.pow_(2)  x.reciprocal_()  x.floor_()  x.ceil_()
x.round_()  x.trunc_()  x.frac()  x.sign_()  x.erf_()  x.erfc()  x.sin_()  x.cos_()  x.tan()  x.atan()
x.sinh()  x.lerp(x,.5)  x.lerp_(x,.5)  x.addcmul(x,x)  x.addcmul_(x,x)  x.addcdiv_(x,x)  x.masked_fill(x>0,0.)
x.masked_fill_(x>0,0.)  x.masked_scatter(x>0,x)  x.gather(1,torch.zeros(1,1,8,8).long())  x.fill_(0)
x.copy_(x)  x.mean((2,3))  x.mean((2,3),keepdim=True)  x.var((2,3))  x.std((2,3))  x.norm()  x.norm(dim=1)
x.amax(1)  x.max(1)[0]  x.median()  x.quantile(.5)  x.argmin(1)  x.sort(1)[0]  x.topk(2,1)[0]
x.kthvalue(2,1)[0]  x.cumsum(1)  x.cummax(1)[0]  x.logsumexp(1)  x.softmax(1)  x.count_nonzero()  x.unique()
x.fmax(x)  x.fmod(2)  x.remainder(2)  x.hypot(x)  x.logaddexp(x)  x.xlogy(x)  x.nan_to_num()  x.tril_()
x.ne_(x)  x.logit()  x.expm1_()  x.exp2()  x.log10()  x.copysign(x)  x.aminmax()  x.diff()  x.bernoulli()
x.uniform_()  torch.eye(4)  torch.randperm(4)  torch.hstack([x,x])  torch.block_diag(x[0,0],x[0,0])
torch.var_mean(x)  functional.one_hot(torch.tensor([1]),4)  functional.normalize(x)
functional.gumbel_softmax(x)  functional.pad(x,(1,1))  functional.cosine_similarity(x,x)  functional.celu_(x)
functional.selu_(x)
"""
OPERATIONS = tuple(_OPERATIONS.split())
