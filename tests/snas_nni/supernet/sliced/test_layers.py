"""Mutable layers with choices of sizes, which share one large weight."""

import nni
import pytest
import torch
from nni.nas.nn.pytorch import (
    LayerChoice,
    MutableBatchNorm1d,
    MutableBatchNorm2d,
    MutableConv1d,
    MutableConv2d,
    MutableLayerNorm,
    MutableLinear,
    MutableMultiheadAttention,
)
from torch import nn

from snas_nni import UnsupportedSpaceError, build_child, derive_child

IMAGE = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
ROWS = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
SEQUENCE = torch.randn(2, 3, 6, generator=torch.Generator().manual_seed(0))


OF_IMAGES = (MutableConv2d, MutableBatchNorm2d, IMAGE)
OF_SERIES = (MutableConv1d, MutableBatchNorm1d, SEQUENCE)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("norm", [{}, {"affine": False}, {"track_running_stats": False}], ids=str)
@pytest.mark.parametrize(("convolution", "normalization", "inputs"), [OF_IMAGES, OF_SERIES], ids=["images", "series"])
def test_convolution_and_normalisation(tools, convolution, normalization, inputs, bias, norm):
    def init(self):
        channels, kernel = nni.choice("channels", [2, 4, 6]), nni.choice("kernel", [1, 3, 5])
        self.conv = convolution(inputs.shape[1], channels, kernel, padding=kernel // 2, bias=bias)
        self.norm = normalization(channels, **norm)
        self.head = convolution(channels, 3, 1)

    tools.check_space(tools.space_of(init, lambda s, x: s.head(torch.relu(s.norm(s.conv(x))))), [inputs])


@pytest.mark.parametrize(
    ("convolution", "inputs", "spread"),
    [(MutableConv2d, IMAGE, {"padding": 1}), (MutableConv1d, SEQUENCE, {"padding": 2, "dilation": 2})],
    ids=["images", "series"],
)
def test_depthwise_convolution(tools, convolution, inputs, spread):
    def init(self):
        channels = nni.choice("channels", [2, 4, 6])
        self.expand = convolution(inputs.shape[1], channels, 1)
        self.depthwise = convolution(channels, channels, 3, groups=channels, **spread)
        self.project = convolution(channels, 4, 1)

    tools.check_space(tools.space_of(init, lambda s, x: s.project(s.depthwise(torch.relu(s.expand(x))))), [inputs])


def test_a_strided_circular_convolution_of_a_series(tools):
    def init(self):
        channels = nni.choice("channels", [2, 4])
        self.layer = MutableConv1d(3, channels, 3, stride=2, padding=1, padding_mode="circular")
        self.head = MutableConv1d(channels, 2, 1)

    tools.check_space(tools.space_of(init, lambda s, x: s.head(s.layer(x))), [SEQUENCE])


def test_widths_of_a_table(tools):
    def init(self):
        first, second = nni.choice("first", [2, 4, 8]), nni.choice("second", [3, 5])
        self.a, self.b, self.c = MutableLinear(6, first), MutableLinear(first, second), MutableLinear(second, 2)
        self.norm_a, self.norm_b = MutableBatchNorm1d(first), MutableBatchNorm1d(second, momentum=0.3)

    def forward(self, x):
        return self.c(torch.relu(self.norm_b(self.b(torch.relu(self.norm_a(self.a(x)))))))

    tools.check_space(tools.space_of(init, forward), [ROWS])


def test_kernels_of_a_series_are_centres_of_one_weight(tools):
    def init(self):
        kernel = nni.choice("kernel", [1, 3, 5])
        self.layer = MutableConv1d(3, nni.choice("channels", [2, 4]), kernel, padding=kernel // 2)

    _, supernet = tools.mutate(tools.space_of(init)())
    child = derive_child(supernet, {"kernel": 3, "channels": 2})
    assert type(child.layer) is nn.Conv1d
    assert torch.equal(child.layer.weight, supernet.layer.weight[:2, :, 1:4])
    assert torch.equal(child.layer.bias, supernet.layer.bias[:2])


def test_a_series_gets_the_padding_that_kernels_need(tools):
    def init(self):
        self.layer = MutableConv1d(3, 2, nni.choice("kernel", [1, 3]), padding=1)

    with pytest.raises(UnsupportedSpaceError, match="label 'kernel'.*padding=kernel_size // 2"):
        tools.mutate(tools.space_of(init)())


def test_a_strided_circular_convolution(tools):
    def init(self):
        channels = nni.choice("channels", [2, 4])
        self.layer = MutableConv2d(4, channels, (3, 1), stride=2, padding=(1, 0), padding_mode="circular")
        self.head = MutableConv2d(channels, 2, 1)

    tools.check_space(tools.space_of(init, lambda s, x: s.head(s.layer(x))), [IMAGE])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_linear_and_layer_norm(tools, bias, affine):
    def init(self):
        width = nni.choice("width", [2, 4, 8])
        self.first, self.last = MutableLinear(6, width, bias=bias), MutableLinear(width, 3, bias=bias)
        self.norm = MutableLayerNorm(width, elementwise_affine=affine)

    tools.check_space(tools.space_of(init, lambda s, x: s.last(torch.relu(s.norm(s.first(x))))), [ROWS])


def test_expressions_of_a_label(tools):
    def init(self):
        width = nni.choice("width", [2, 4])
        self.first, self.second, self.third = (
            MutableLinear(6, width * 2),
            MutableLinear(width * 2, width + 3),
            MutableLinear(width + 3, 2),
        )

    def forward(self, x):
        return self.third(torch.relu(self.second(torch.relu(self.first(x)))))

    tools.check_space(tools.space_of(init, forward), [ROWS])


@pytest.mark.parametrize("bias", [True, False])
def test_attention_with_a_choice_of_its_width(tools, bias):
    def init(self):
        width = nni.choice("width", [4, 8])
        self.first, self.last = MutableLinear(6, width), MutableLinear(width, 3)
        self.attention = MutableMultiheadAttention(width, 2, bias=bias, batch_first=True)

    def forward(self, x):
        x = self.first(x)
        return self.last(self.attention(x, x, x)[0])

    tools.check_space(tools.space_of(init, forward), [SEQUENCE])


def test_attention_with_choices_of_the_widths_of_keys_and_values(tools):
    def init(self):
        key, value = nni.choice("key", [4, 6]), nni.choice("value", [2, 6])
        self.query, self.key, self.value = nn.Linear(6, 8), MutableLinear(6, key), MutableLinear(6, value)
        self.attention = MutableMultiheadAttention(8, 2, kdim=key, vdim=value, batch_first=True)

    tools.check_space(tools.space_of(init, lambda s, x: s.attention(s.query(x), s.key(x), s.value(x))[0]), [SEQUENCE])


def test_a_relaxed_linear_layer_is_the_weighted_sum_of_its_slices(tools):
    strategy, supernet = tools.mutate(
        tools.space_of(lambda s: setattr(s, "layer", MutableLinear(6, nni.choice("width", [2, 4]))))()
    )
    with torch.no_grad(), strategy.distribution.use(strategy.distribution.draw(1.0)) as sample:
        w = sample.weights["width"][0]
        full = nn.functional.linear(ROWS, supernet.layer.weight, supernet.layer.bias)
        share = torch.cat([(w[0] + w[1]).expand(2), w[1].expand(2)])
        torch.testing.assert_close(supernet(ROWS), full * share)


def test_slices_are_prefixes_and_centres(tools):
    def init(self):
        kernel = nni.choice("kernel", [1, 3])
        self.layer = MutableConv2d(4, nni.choice("channels", [2, 4]), kernel, padding=kernel // 2)

    _, supernet = tools.mutate(tools.space_of(init)())
    child = derive_child(supernet, {"kernel": 1, "channels": 2})
    assert torch.equal(child.layer.weight, supernet.layer.weight[:2, :, 1:2, 1:2])
    assert torch.equal(child.layer.bias, supernet.layer.bias[:2])
    assert type(child.layer) is nn.Conv2d


@pytest.mark.parametrize("with_choice", [True, False])
def test_settings_changed_after_construction_are_kept(tools, with_choice):
    def init(self):
        channels = nni.choice("channels", [2, 4]) if with_choice else 4
        self.conv, self.norm = MutableConv2d(4, channels, 1), MutableBatchNorm2d(channels)
        self.norm.eps, self.norm.momentum = 0.5, 0.3
        self.head = LayerChoice([MutableConv2d(channels, 2, 1), MutableConv2d(channels, 2, 1)], label="head")

    checked = tools.check_space(tools.space_of(init, lambda s, x: s.head(s.norm(s.conv(x)))), [IMAGE])
    child = derive_child(checked.supernet, checked.samples[0])
    assert (child.norm.eps, child.norm.momentum) == (0.5, 0.3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_precision_is_inherited(tools, dtype):
    def init(self):
        channels = nni.choice("channels", [2, 4])
        self.conv, self.norm = MutableConv2d(4, channels, 1), MutableBatchNorm2d(channels)
        self.head = MutableConv2d(channels, 2, 1)

    strategy, supernet = tools.mutate(tools.space_of(init, lambda s, x: s.head(s.norm(s.conv(x))))())
    supernet.to(dtype).eval()
    with strategy.distribution.use(strategy.distribution.draw(1.0)):
        output = supernet(IMAGE.to(dtype))
    output.float().sum().backward()
    assert output.dtype == dtype
    assert strategy.distribution.logits_of("channels").grad.dtype == torch.float32
    child = derive_child(supernet, {"channels": 2}).eval()
    assert {p.dtype for p in child.parameters()} == {dtype}
    expected = tools.run_at(strategy.distribution, supernet, {"channels": 2}, IMAGE.to(dtype))
    assert torch.equal(child(IMAGE.to(dtype)), expected)


class TestRefusals:
    def refused(self, tools, match, layer):
        with pytest.raises(UnsupportedSpaceError, match=match):
            tools.mutate(tools.space_of(lambda s: setattr(s, "layer", layer()))())

    @pytest.mark.parametrize("padding", [0, 1, "same"])
    def test_kernels_whose_padding_does_not_follow(self, tools, padding):
        match = r"label 'kernel' \(MutableConv2d 'layer'\).*kernel_size // 2"
        self.refused(tools, match, lambda: MutableConv2d(4, 4, nni.choice("kernel", [1, 3]), padding=padding))

    def test_a_padding_of_its_own(self, tools):
        self.refused(
            tools,
            r"label 'kernel, padding'.*kernel_size // 2",
            lambda: MutableConv2d(4, 4, nni.choice("kernel", [1, 3]), padding=nni.choice("padding", [0, 1])),
        )

    def test_another_padding_mode(self, tools):
        def layer():
            kernel = nni.choice("kernel", [1, 3])
            return MutableConv2d(4, 4, kernel, padding=kernel // 2, padding_mode="circular")

        self.refused(tools, r"label 'kernel' .*padding_mode='circular'.*LayerChoice", layer)

    def test_groups_out_of_proportion(self, tools):
        self.refused(
            tools,
            r"label 'channels, groups'.*in proportion.*LayerChoice",
            lambda: MutableConv2d(
                nni.choice("channels", [4, 8]),
                nni.choice("channels", [4, 8]),
                3,
                groups=nni.choice("groups", [1, 2]),
            ),
        )

    def test_sizes_together_with_what_cannot_be_sliced(self, tools):
        self.refused(
            tools,
            r"label 'dilation' \(MutableConv2d 'layer'\): a choice of dilation.*out_channels.*LayerChoice",
            lambda: MutableConv2d(4, nni.choice("channels", [2, 4]), 3, dilation=nni.choice("dilation", [1, 2])),
        )

    def test_attention_whose_widths_meet(self, tools):
        self.refused(
            tools,
            r"label 'key'.*one weight.*Leave embed_dim out",
            lambda: MutableMultiheadAttention(8, 2, kdim=nni.choice("key", [4, 8]), vdim=nni.choice("key", [4, 8])),
        )


def test_the_rebuilt_child_has_the_names_of_the_derived_one(tools):
    def init(self):
        width = nni.choice("width", [2, 4])
        self.first, self.last = MutableLinear(6, width), MutableLinear(width, 3)

    make = tools.space_of(init, lambda s, x: s.last(s.first(x)))
    _, supernet = tools.mutate(make())
    child, rebuilt = derive_child(supernet, {"width": 2}), build_child(make, {}, {"width": 2})
    shapes = [{name: t.shape for name, t in net.state_dict().items()} for net in (child, rebuilt)]
    assert shapes[0] == shapes[1]
    assert shapes[0]["first.weight"] == (2, 6)
