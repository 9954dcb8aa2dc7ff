"""A space from a network: it starts as the network, its children are plain networks with the right weights."""

import random

import pytest
import torch
from nni.mutable import Mutable
from small_networks import NETWORKS, Perceptron, Residual, lively
from torch import nn

from exports.conformance import check_space
from search_spaces import FromModel, space_from
from snas_nni import SNAS, derive_child
from snas_nni.resources import count_child
from snas_nni.supernet.sliced.layers import SlicedConv1d, SlicedConv2d
from snas_nni.supernet.sliced.segments import parts_of

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
SETTINGS = {"widths": (0.25, 0.5, 1.0), "kernels": (3,), "min_channels": 4}


def make(name, **settings):
    return space_from(lively(NETWORKS[name]), IMAGES, **{**SETTINGS, **settings}).eval()


def output(network):
    with torch.no_grad():
        return network(IMAGES)


@pytest.fixture(params=NETWORKS)
def name(request):
    return request.param


def samples(strategy, count):
    chooser = random.Random(0)
    choices = strategy.distribution.choices
    return [{label: chooser.choice(c.candidates) for label, c in choices.items()} for _ in range(count)]


class TestTheWholeNetwork:
    def test_without_an_order_it_is_the_given_one_to_the_bit(self, name):
        assert torch.equal(output(make(name, importance="none")), output(lively(NETWORKS[name])))

    @pytest.mark.parametrize("measure", ["magnitude", "batch_norm"])
    def test_ordered_channels_only_change_the_order_of_sums(self, name, measure):
        torch.testing.assert_close(output(make(name, importance=measure)), output(lively(NETWORKS[name])))

    def test_the_given_network_is_left_alone(self, name):
        network = lively(NETWORKS[name])
        before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
        space_from(network.train(), IMAGES, **SETTINGS)
        assert network.training
        assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
        assert not any(isinstance(module, Mutable) or module._forward_hooks for module in network.modules())

    def test_the_dearest_child_is_the_given_network(self, name):
        network, strategy = lively(NETWORKS[name]), SNAS(seed=0)
        supernet = strategy.mutate_model(make(name, importance="none"))
        child = derive_child(supernet, {label: c.candidates[0] for label, c in strategy.distribution.choices.items()})
        assert type(child) is type(network)
        state = network.state_dict()
        assert child.state_dict().keys() == state.keys()
        assert all(torch.equal(t, state[k]) for k, t in child.state_dict().items() if "num_batches" not in k)
        assert torch.equal(output(child.eval()), output(network))


class TestChildren:
    def test_the_space_conforms(self, name):
        """Searched, counted exactly at random samples, derived, rebuilt from its file, exported."""
        function = f"small_networks.{NETWORKS[name].__name__}"
        check_space(lambda: FromModel(function, example=[2, 3, 8, 8], **SETTINGS), lambda: IMAGES, samples=3)

    def test_a_child_is_plain(self, name):
        strategy = SNAS(seed=0)
        supernet = strategy.mutate_model(make(name))
        for sample in samples(strategy, 3):
            child = derive_child(supernet, sample)
            assert not any(isinstance(module, Mutable) for module in child.modules())
            modules = {type(module).__module__.split(".")[0] for module in child.modules()}
            assert modules <= {"torch", "small_networks"}

    def test_a_child_computes_what_the_network_does_without_the_channels_that_it_lacks(self, name):
        """The rest of the network reads nothing of them: their columns are zero."""
        if name in ("perceptron", "attention"):
            pytest.skip("a normalization over the channels changes with their number")
        strategy = SNAS(seed=0)
        supernet = strategy.mutate_model(make(name))
        for sample in samples(strategy, 4):
            blocks = {label: value for label, value in sample.items() if label.endswith("/block")}
            widest = {label: c.candidates[0] for label, c in strategy.distribution.choices.items()}
            kernels = {label: value for label, value in sample.items() if label.endswith("/kernel")}
            whole = derive_child(supernet, {**widest, **blocks, **kernels}).eval()
            child = derive_child(supernet, sample).eval()
            sliced = {path: m for path, m in supernet.network.named_modules() if hasattr(m, "mutable_arguments")}
            for path, layer in whole.named_modules():
                wide = path.replace(".keep", "")
                assert wide == path
                mixed = next((m for p, m in sliced.items() if p.replace(".keep", "") == path), None)
                argument = "in_channels" if isinstance(mixed, (SlicedConv1d, SlicedConv2d)) else "in_features"
                if mixed is None or argument not in mixed.mutable_arguments or getattr(layer, "groups", 1) != 1:
                    continue
                parts = parts_of(mixed.mutable_arguments[argument], lambda term: term.freeze(sample))  # noqa: B023
                lost = torch.ones(layer.weight.shape[1], dtype=torch.bool)
                lost[parts.indices] = False
                with torch.no_grad():
                    layer.weight[:, lost] = 0
            torch.testing.assert_close(output(child), output(whole))

    def test_a_child_of_the_constructor_has_the_networks_weights(self):
        from nni.nas.space import model_context

        strategy = SNAS(seed=0)
        supernet = strategy.mutate_model(make("residual"))
        for sample in samples(strategy, 3):
            with model_context(sample):
                child = FromModel(lively(Residual), example=IMAGES, **SETTINGS)
            torch.testing.assert_close(output(child.eval()), output(derive_child(supernet, sample).eval()))

    def test_costs_are_exact_at_every_single_change(self):
        strategy = SNAS(seed=0)
        supernet = strategy.mutate_model(make("gated"))
        costs = strategy.cost_model(IMAGES[:1])
        widest = {label: c.candidates[0] for label, c in strategy.distribution.choices.items()}
        for label, choice in strategy.distribution.choices.items():
            for value in choice.candidates:
                sample = {**widest, label: value}
                assert costs.of(sample) == count_child(derive_child(supernet, sample), IMAGES[:1])


class TestWhatIsChosen:
    def test_residual(self):
        space = make("residual")
        assert space.candidates == {
            "stem.0/width": [8, 4],
            "blocks.0.conv1/width": [8, 4],
            "blocks.1.conv1/width": [16, 8, 4],
            "blocks.1.conv2/width": [16, 8, 4],
            "blocks.2.conv1/width": [16, 8, 4],
            "blocks.3.conv1/width": [16, 8, 4],
            "blocks.0/block": ["keep", "skip"],
            "blocks.2/block": ["keep", "skip"],
            "blocks.3/block": ["keep", "skip"],
        }
        assert space.fixed == {"head": "is an output of the model"}

    def test_groups_of_channels_and_kernels(self):
        assert make("grouped").candidates["bottleneck.0/width"] == [24, 12, 8]  # whole groups of four
        mobile = make("mobile")
        assert mobile.candidates["blocks.1.layers.3/kernel"] == [5, 3]
        assert "blocks.0.layers.3/kernel" not in mobile.candidates
        assert mobile.candidates["blocks.0.layers.0/width"] == [16, 8, 4]

    def test_layers_of_a_concatenation_share_their_growth(self):
        space = make("dense")
        assert list(space.candidates) == ["stem/width", "layers.0.conv/width", "layers.3.conv/width"]
        sample = {"stem/width": 6, "layers.0.conv/width": 4, "layers.3.conv/width": 8}
        child = derive_child(SNAS(seed=0).mutate_model(space), sample)
        assert [layer.conv.in_channels for layer in child.layers] == [6, 10, 14, 18]
        assert child.head.in_features == (6 + 3 * 4 + 8) * 4

    def test_what_cannot_be_cut_has_a_reason(self):
        space = make("attention")
        assert space.candidates.keys() == {"mlp.up/width", "mlp/block"}
        assert space.fixed["patches"] == "meets the parameter 'position' in add"
        assert "MultiheadAttention" in space.fixed["attention"]
        assert "mlp.up/width: 32, 16, 8" in str(space)
        assert "patches: meets the parameter" in str(space)

    def test_modules_to_keep(self):
        space = make("residual", keep=["blocks.0", "blocks.?.conv1"])
        assert list(space.candidates) == ["blocks.1.conv2/width", "blocks.2/block", "blocks.3/block"]
        assert space.fixed["blocks.0"] == space.fixed["blocks.3.conv1"] == "is to be kept"
        assert space.fixed["stem.0"] == "is to be kept"  # as it is added to what blocks.0 makes

    def test_widths_alone(self):
        assert not any(label.endswith("/block") for label in make("residual", depth=False).candidates)
        assert set(make("perceptron", min_channels=16).candidates) == {"middle.up/width", "middle/block"}


class TestOrder:
    def network(self):
        network = lively(Perceptron)
        self.factors = torch.rand(16, generator=torch.Generator().manual_seed(3)) + 0.1
        with torch.no_grad():
            for tensor, dim in ((network.first.weight, 0), (network.middle.up.weight, 1), (network.last.weight, 1)):
                tensor.fill_(1.0)
                shape = [1, 1]
                shape[dim] = -1
                tensor.mul_(self.factors.view(shape))
            network.middle.down.weight.fill_(1.0)
            network.middle.down.weight.mul_(self.factors.view(-1, 1))
        return network

    def test_magnitude_puts_large_channels_first(self):
        network = self.network()
        space = space_from(network, IMAGES, **SETTINGS)
        assert torch.equal(space.network.first.weight[:, 0], self.factors.sort(descending=True).values)
        order = self.factors.argsort(descending=True)
        assert torch.equal(space.network.first.bias, network.first.bias[order])

    def test_batch_norm_scales(self):
        network = lively(Residual)
        space = space_from(network, IMAGES, importance="batch_norm", **SETTINGS)
        scales = space.network.blocks[0].keep.bn1.weight
        assert torch.equal(scales, network.blocks[0].bn1.weight.sort(descending=True).values)

    def test_taylor_needs_gradients_and_puts_what_the_loss_feels_first(self):
        network = self.network()
        with pytest.raises(ValueError, match=r"taylor.*loss\.backward"):
            space_from(network, IMAGES, importance="taylor", **SETTINGS)
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        network.first.weight.grad = torch.ones_like(network.first.weight)
        network.first.weight.grad[5] = 1000.0
        space = space_from(network, IMAGES, importance="taylor", **SETTINGS)
        assert torch.equal(space.network.first.weight[0], network.first.weight[5])

    def test_groups_move_whole(self):
        network = lively(NETWORKS["grouped"])
        with torch.no_grad():
            network.bottleneck[3].weight[8:12] *= 100  # the third group
        space = space_from(network, IMAGES, **SETTINGS)
        grouped = space.network.get_submodule("bottleneck.3")
        assert torch.equal(grouped.weight[:4], network.bottleneck[3].weight[8:12])


class TestRefusals:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"widths": []}, "widths is"),
            ({"widths": [0, 1]}, "widths is"),
            ({"widths": [1.5]}, "widths is"),
            ({"kernels": [4]}, "kernels has 4"),
            ({"min_channels": 0}, "min_channels is 0"),
            ({"importance": "size"}, "importance is 'size'"),
            ({"keep": "blocks"}, "keep is 'blocks'"),
            ({"depth": 1}, "depth is 1"),
        ],
    )
    def test_settings(self, settings, message):
        with pytest.raises(ValueError, match=message):
            space_from(lively(Residual), IMAGES, **settings)

    def test_networks(self):
        with pytest.raises(ValueError, match="Residual cannot be turned into a space: it does not run on the example"):
            space_from(lively(Residual), IMAGES[:, :2])
        with pytest.raises(ValueError, match=r"Linear cannot be .*nothing of it can be chosen.*is an output"):
            space_from(nn.Linear(4, 4), torch.zeros(1, 4))
        with pytest.raises(ValueError, match="compiled by TorchScript"):
            space_from(torch.jit.trace(lively(Residual), IMAGES), IMAGES)
        with pytest.raises(ValueError, match=r"wraps the model.*model\.module"):
            space_from(nn.DataParallel(lively(Residual)), IMAGES)
        with pytest.raises(ValueError, match="has NNI's mutables already"):
            space_from(make("residual"), IMAGES)
