"""The call that is written for a layer makes one with the same settings and the same shapes."""

import pytest
import torch
from torch import nn

from exports.code.layers import call_of, plain_type
from exports.errors import CodeExportError

LAYERS = [
    (nn.Conv2d(4, 8, 3, 2, 1, groups=2, bias=False, padding_mode="reflect"), None),
    (nn.Conv2d(4, 8, 1), "nn.Conv2d(4, 8, kernel_size=(1, 1))"),
    (nn.Linear(3, 2), "nn.Linear(in_features=3, out_features=2)"),
    (nn.BatchNorm2d(7), "nn.BatchNorm2d(7)"),
    (nn.BatchNorm2d(7, eps=0.25, affine=False, momentum=None), None),
    (nn.LayerNorm((3, 4), elementwise_affine=False), None),
    (nn.GroupNorm(2, 4), None),
    (nn.MaxPool2d(3, 2, 1, ceil_mode=True), None),
    (nn.AvgPool2d(3, 1, 1, count_include_pad=False), None),
    (nn.AdaptiveAvgPool2d((1, None)), None),
    (nn.ReLU6(inplace=True), "nn.ReLU6(inplace=True)"),
    (nn.LeakyReLU(0.3), None),
    (nn.GELU(approximate="tanh"), None),
    (nn.Dropout(0.1), None),
    (nn.Flatten(2), None),
    (nn.Embedding(5, 4), None),
    (nn.Upsample(scale_factor=2, mode="nearest"), None),
    (nn.PixelShuffle(2), None),
    (nn.MultiheadAttention(8, 2, batch_first=True), None),
    (nn.Identity(), "nn.Identity()"),
]


@pytest.mark.parametrize(("layer", "text"), LAYERS, ids=[type(layer).__name__ for layer, _ in LAYERS])
def test_the_call_makes_a_layer_like_it(layer, text):
    found = call_of(layer, "layer")
    assert text is None or found == text
    names = {"nn": nn}
    exec(f"made = {found}", names)
    made = names["made"]
    assert type(made) is type(layer)
    assert made.extra_repr() == layer.extra_repr()
    made.load_state_dict(layer.state_dict())
    plain = {k: v for k, v in vars(layer).items() if isinstance(v, (int, float, str, tuple))}
    assert plain == {name: vars(made)[name] for name in plain}


def test_a_subclass_with_the_forward_of_torch_is_torchs_and_one_with_its_own_is_not():
    class Same(nn.Linear):
        pass

    class Other(nn.Linear):
        def forward(self, x):
            return -x

    assert plain_type(Same(2, 2)) is nn.Linear
    assert call_of(Same(2, 2), "a") == "nn.Linear(in_features=2, out_features=2)"
    assert plain_type(Other(2, 2)) is None
    with pytest.raises(CodeExportError, match="a is of type Other"):
        call_of(Other(2, 2), "a")


def test_a_layer_with_a_hook_is_not_plain():
    layer = nn.Linear(2, 2)
    layer.register_forward_hook(lambda *_: torch.zeros(1))
    assert plain_type(layer) is None
