"""timm's combined layers become plain ones that give the same, bit by bit, and can be cut; others stay."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from search_spaces import space_from
from search_spaces.from_model.plain_forms import with_plain_layers


class BatchNormAct2d(nn.BatchNorm2d):
    """As timm's, which is not installed here: the activation is part of the layer."""

    __module__ = "timm.layers.norm_act"

    def __init__(self, size, act=None):
        super().__init__(size)
        self.drop = nn.Identity()
        self.act = act or nn.SiLU()

    def forward(self, x):
        return self.act(self.drop(super().forward(x)))


class LayerNorm(nn.LayerNorm):
    __module__ = "timm.layers.norm"

    def forward(self, x):
        return functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class Doubling(BatchNormAct2d):
    """Of the same name, but it does something else."""

    __module__ = "timm.layers.norm_act"

    def forward(self, x):
        return 2 * super().forward(x)


Doubling.__name__ = "BatchNormAct2d"


def network(norm=BatchNormAct2d):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False), norm(16), nn.Conv2d(16, 16, 3, padding=1), nn.Flatten(2),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), LayerNorm(16), nn.Linear(16, 4),
    )  # fmt: skip
    for tensor in (model[1].weight, model[1].bias, model[1].running_mean, model[6].weight):
        nn.init.uniform_(tensor, 0.5, 1.5)
    return model.eval()


IMAGES = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def test_a_layer_with_an_activation_is_taken_apart():
    given = network()
    plain = with_plain_layers(given, copied=True)
    assert [type(each) for each in plain[1]] == [nn.BatchNorm2d, nn.SiLU]
    assert type(plain[6]) is nn.LayerNorm
    assert torch.equal(plain(IMAGES), given(IMAGES))
    assert type(given[1]) is BatchNormAct2d
    assert not plain[1].training
    assert {name.replace("1.norm", "1") for name in plain.state_dict()} == set(given.state_dict())
    assert with_plain_layers(given, copied=False) is given
    assert type(given[6]) is nn.LayerNorm


def test_a_network_without_such_layers_is_left_alone():
    plain = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    assert with_plain_layers(plain, copied=True) is plain


def test_what_gives_something_else_stays():
    kept = with_plain_layers(network(Doubling), copied=True)
    assert type(kept[1]) is Doubling


def test_its_channels_can_be_cut():
    given = network()
    space = space_from(given, IMAGES, widths=(0.5, 1.0), importance="none")
    assert space.candidates["0/width"] == [16, 8]
    assert torch.equal(space.eval()(IMAGES), given(IMAGES))
    child = space.freeze({label: values[-1] for label, values in space.candidates.items()})
    assert child[1].norm.num_features == 8
    assert child.eval()(IMAGES).shape == (2, 4)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "vit_tiny_patch16_224"])
def test_timms_own(name):
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    given = timm.create_model(name, num_classes=4, **({"img_size": 32} if "vit" in name else {})).eval()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    plain = with_plain_layers(given, copied=True)
    assert not any(type(each).__name__ in ("BatchNormAct2d",) for each in plain.modules())
    with torch.no_grad():
        assert torch.equal(plain(images), given(images))
