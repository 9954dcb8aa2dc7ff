"""What layers give beside those of a teacher: closed forms, what is watched, and what is refused in which words."""

import re

import pytest
import torch
from torch import nn

from trials.training.distillation import Distillation, soft_cross_entropy
from trials.training.features import Features, attention_difference, in_network, value_difference, watching


def values(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).double()


def test_values_are_compared_in_units_of_the_teachers():
    mine, theirs = values(5, 3, 2, 2), values(5, 3, 2, 2, seed=1)
    expected = ((mine - theirs) ** 2).sum() / (theirs**2).sum()
    torch.testing.assert_close(value_difference(mine, theirs), expected)
    torch.testing.assert_close(value_difference(3 * mine, 3 * theirs), expected)
    torch.testing.assert_close(value_difference(torch.zeros_like(theirs), theirs), torch.tensor(1.0).double())
    assert float(value_difference(theirs, theirs)) == 0


def test_attention_is_where_the_channels_are_strong():
    """One pixel each, at other places: orthogonal maps of norm 1, whose squared distance is 2."""
    mine, theirs = torch.zeros(1, 2, 2, 2), torch.zeros(1, 5, 2, 2)
    mine[0, :, 0, 0], theirs[0, 3, 1, 1] = 7.0, -0.1
    torch.testing.assert_close(attention_difference(mine, theirs), torch.tensor(2.0))
    theirs[0, 3, 0, 0] = 0.1  # half of the teacher's is there now: |(1, 0) - (1, 1) / sqrt 2|^2
    torch.testing.assert_close(attention_difference(mine, theirs), torch.tensor(2 - 2**0.5))
    doubled = torch.cat([theirs, theirs], dim=1)
    torch.testing.assert_close(attention_difference(doubled, 3 * theirs), torch.tensor(0.0))


def test_the_loss_has_the_mean_over_the_pairs_beside_the_rest():
    student, teacher, inputs, loss = network(), network(), values(5, 4), torch.tensor(2.0, dtype=torch.float64)
    teacher[2].reset_parameters()
    features = Features({"0": "0", "1": "1"}, weight=3.0)
    taught = Distillation(teacher, 0.25, 2.0, features)
    student[0].weight.data.mul_(1.1)
    with taught.watching(student) as seen:
        logits = student(inputs)
    total = taught(loss, inputs, logits, seen)
    hidden, given = student[0](inputs), teacher[0](inputs)
    hints = [((a - b) ** 2).sum() / (b**2).sum() for a, b in ((hidden, given), (hidden.relu(), given.relu()))]
    expected = 0.75 * loss + 0.25 * soft_cross_entropy(logits, teacher(inputs), 2.0) + 3.0 * sum(hints) / 2
    torch.testing.assert_close(total, expected)
    total.backward()
    assert student[0].weight.grad is not None
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_what_does_not_run_does_not_count():
    features = Features({"block": "a", "other": "b"}, weight=2.0)
    outputs = {"a": values(2, 3), "b": values(2, 3, seed=1)}
    mine = {"other": values(2, 3, seed=2)}
    torch.testing.assert_close(features.loss(mine, outputs), 2 * value_difference(mine["other"], outputs["b"]))
    assert features.loss({}, outputs) is None


def test_watching_leaves_no_hook_behind():
    watched = network()
    with watching(watched, ["0", "2"]) as seen:
        output = watched(values(5, 4))
    assert seen.keys() == {"0", "2"}
    assert seen["2"] is output
    before = dict(seen)
    watched(values(5, 4, seed=1))
    assert all(seen[name] is before[name] for name in before)
    assert not any(module._forward_hooks for module in watched.modules())


def test_names_are_those_of_the_child_in_a_supernet_too():
    class Space(nn.Module):
        child_module = "network"

        def __init__(self):
            super().__init__()
            self.network = network()

    space = Space()
    assert in_network(space, "0") is space.network[0]
    with pytest.raises(AttributeError):
        in_network(space, "network.0")


@pytest.mark.parametrize(
    ("compare", "mine", "theirs", "words"),
    [
        ("values", (2, 3, 4, 4), (2, 5, 4, 4), r"\(3, 4, 4\) of the network, \(5, 4, 4\) of the teacher"),
        ("attention", (2, 3, 4, 4), (2, 3, 2, 2), "equal sides"),
        ("attention", (2, 3), (2, 3), "equal sides"),
    ],
)
def test_shapes_that_cannot_be_compared(compare, mine, theirs, words):
    assert re.search(words, Features({"a": "b"}, 1.0, compare).problem(values(*mine), values(*theirs)))


def test_shapes_that_can_be_compared():
    assert Features({}, 1.0, "values").problem(values(2, 3), values(2, 3)) is None
    assert Features({}, 1.0, "attention").problem(values(2, 3, 4, 4), values(2, 5, 4, 4)) is None
    assert "gives a tuple" in Features({}, 1.0).problem((values(2, 3),), values(2, 3))
