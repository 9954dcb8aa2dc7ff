"""One of, so many of, any of: round trips, weights, modes and expectations against enumeration."""

import itertools
import math

import nni
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nni.mutable import Categorical, CategoricalMultiple

from snas_nni.distribution.choices import AnyOf, OneOf, SubsetOf, choice_of
from snas_nni.errors import UnsupportedSpaceError

CANDIDATES = st.lists(
    st.one_of(st.text(max_size=5), st.integers(), st.tuples(st.integers(0, 3), st.integers(0, 3))),
    min_size=1,
    max_size=6,
    unique=True,
).map(tuple)


@st.composite
def choices(draw, min_size=1):
    """Any choice, small enough to enumerate."""
    candidates = draw(CANDIDATES.filter(lambda c: len(c) >= min_size))
    kinds = [OneOf("x", candidates), OneOf("x", candidates, as_list=True), AnyOf("x", candidates)]
    if len(candidates) > 1:
        kinds.append(SubsetOf("x", candidates, draw(st.integers(2, len(candidates)))))
    return draw(st.sampled_from(kinds))


def all_categories(choice):
    """Every combination of categories of the choice's rows."""
    rows = choice.rows(torch.zeros(choice.logits_shape))
    return list(itertools.product(range(rows.shape[-1]), repeat=rows.shape[0]))


def one_hot(choice, categories):
    size = choice.rows(torch.zeros(choice.logits_shape)).shape[-1]
    return torch.nn.functional.one_hot(torch.tensor(categories), size).double()


def chosen(choice, value):
    """The candidates in an NNI value."""
    return [value] if isinstance(choice, OneOf) and not choice.as_list else list(value)


@given(choices())
def test_categories_is_the_inverse_of_value(choice):
    values = [choice.value(categories) for categories in all_categories(choice)]
    assert [choice.categories(value) for value in values] == [list(c) for c in all_categories(choice)]
    assert len({repr(value) for value in values}) == len(values)


@given(choices())
def test_weights_of_a_one_hot_row_are_the_indicator_of_its_value(choice):
    for categories in all_categories(choice):
        value = chosen(choice, choice.value(categories))
        expected = [float(candidate in value) for candidate in choice.candidates]
        assert choice.weights(one_hot(choice, categories)).tolist() == expected


@given(choices(), st.integers(0, 2**32 - 1), st.floats(0.01, 2))
def test_weights_of_a_relaxed_row_are_shares(choice, seed, temperature):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(choice.logits_shape, generator=generator, dtype=torch.float64)
    weights = choice.weights(torch.softmax(choice.rows(logits) / temperature, -1))
    assert weights.shape == (len(choice.candidates),)
    assert (weights >= 0).all()
    assert (weights <= 1 + 1e-12).all()
    total = {OneOf: 1, SubsetOf: getattr(choice, "n_chosen", None)}.get(type(choice))
    if total is not None:
        assert float(weights.sum()) == pytest.approx(total, abs=1e-12)


@given(choices(), st.integers(0, 2**32 - 1))
def test_expected_weights_are_the_sum_over_all_outcomes(choice, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(choice.logits_shape, generator=generator, dtype=torch.float64)
    probabilities = torch.softmax(choice.rows(logits), -1)
    expected = torch.zeros(len(choice.candidates), dtype=torch.float64)
    for categories in all_categories(choice):
        probability = math.prod(float(probabilities[row, k]) for row, k in enumerate(categories))
        expected += probability * choice.weights(one_hot(choice, categories))
    torch.testing.assert_close(choice.weights(probabilities), expected, rtol=0, atol=1e-12)


@given(st.integers(2, 7).flatmap(lambda k: st.tuples(st.just(k), st.integers(2, k))), st.integers(0, 2**32 - 1))
def test_the_mode_of_a_subset_is_the_largest_logits(sizes, seed):
    count, n_chosen = sizes
    choice = SubsetOf("x", tuple(range(count)), n_chosen)
    logits = torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    mode = choice.value(choice.rows(logits).argmax(-1).tolist())
    assert mode == sorted(logits.topk(n_chosen).indices.tolist())


def test_a_subset_is_as_likely_as_the_product_of_its_members():
    choice = SubsetOf("x", ("a", "b", "c"), 2)
    logits = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    products = {pair: math.exp(sum(logits[i] for i in pair)) for pair in choice.subsets}
    assert choice.subsets == [(0, 1), (0, 2), (1, 2)]
    expected = torch.tensor([products[s] / sum(products.values()) for s in choice.subsets], dtype=torch.float64)
    torch.testing.assert_close(torch.softmax(choice.rows(logits), -1)[0], expected)


@pytest.mark.parametrize(
    "choice", [OneOf("x", ("a", "b")), SubsetOf("x", ("a", "b", "c"), 2), AnyOf("x", ("a", "b"))], ids=lambda c: type(c)
)
def test_batches_of_rows_are_read_one_by_one(choice):
    rows = torch.softmax(torch.randn(4, *choice.rows(torch.zeros(choice.logits_shape)).shape), -1)
    torch.testing.assert_close(choice.weights(rows), torch.stack([choice.weights(row) for row in rows]))


@pytest.mark.parametrize(
    ("choice", "value"),
    [
        (OneOf("x", ("a", "b")), "c"),
        (OneOf("x", (0, 1), as_list=True), [2]),
        (SubsetOf("x", (0, 1, 2), 2), [0, 3]),
        (SubsetOf("x", (0, 1, 2), 2), [0]),
        (AnyOf("x", (0, 1)), [0, 7]),
    ],
)
def test_a_value_that_is_not_in_the_choice_is_refused(choice, value):
    with pytest.raises(ValueError, match=r"not in (tuple|list)"):
        choice.categories(value)


def test_the_order_in_which_a_subset_is_written_does_not_matter():
    assert SubsetOf("x", (0, 1, 2), 2).categories([2, 0]) == [1]
    assert AnyOf("x", (0, 1, 2)).categories([2, 0]) == [1, 0, 1]


class TestChoiceOf:
    @pytest.mark.parametrize(
        ("mutable", "expected"),
        [
            (nni.choice("x", ["a", "b"]), OneOf("x", ("a", "b"))),
            (Categorical([3, 5], label="x"), OneOf("x", (3, 5))),
            (CategoricalMultiple(range(3), n_chosen=1, label="x"), OneOf("x", (0, 1, 2), as_list=True)),
            (CategoricalMultiple(range(3), n_chosen=2, label="x"), SubsetOf("x", (0, 1, 2), 2)),
            (CategoricalMultiple(range(3), n_chosen=None, label="x"), AnyOf("x", (0, 1, 2))),
        ],
    )
    def test_every_kind_of_nni_mutable(self, mutable, expected):
        assert choice_of(mutable) == expected

    @pytest.mark.parametrize("mutable", [nni.uniform("rate", 0, 1), nni.normal("rate", 0, 1)])
    def test_continuous_values_have_no_logits(self, mutable):
        with pytest.raises(UnsupportedSpaceError, match=r"label 'rate'.*nni\.choice"):
            choice_of(mutable)

    def test_too_many_subsets(self):
        with pytest.raises(UnsupportedSpaceError, match=r"label 'many'.*10 of 20.*184,756.*4,096.*n_chosen=None"):
            choice_of(CategoricalMultiple(range(20), n_chosen=10, label="many"))

    def test_the_largest_number_of_subsets_is_accepted(self):
        assert len(choice_of(CategoricalMultiple(range(14), n_chosen=6, label="x")).subsets) == 3003
