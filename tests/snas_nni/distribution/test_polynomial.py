"""The algebra of conditions and costs against evaluation at every one-hot Z."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from snas_nni.distribution.polynomial import ONE, Polynomial

SIZES = {"a": 2, "b": 3, "c": 2}
ONE_HOT = [dict(zip(SIZES, chosen, strict=True)) for chosen in itertools.product(*map(range, SIZES.values()))]
ENTRIES = [(label, index) for label, size in SIZES.items() for index in range(size)]


@st.composite
def _terms(draw):
    labels = draw(st.sets(st.sampled_from(list(SIZES))))
    return tuple(sorted((label, draw(st.integers(0, SIZES[label] - 1))) for label in labels))


polynomials = st.dictionaries(_terms(), st.integers(-9, 9).map(float), max_size=5).map(
    lambda terms: Polynomial({term: value for term, value in terms.items() if value})
)


@st.composite
def _conditions(draw):
    """Sums of disjoint outcomes: polynomials that are 0 or 1 everywhere."""
    labels = draw(st.lists(st.sampled_from(list(SIZES)), unique=True, max_size=2))
    outcomes = list(itertools.product(*(range(SIZES[label]) for label in labels)))
    chosen = draw(st.lists(st.sampled_from(outcomes), unique=True))
    return Polynomial.sum(Polynomial({tuple(sorted(zip(labels, outcome, strict=True))): 1.0}) for outcome in chosen)


@given(polynomials, polynomials)
def test_sum_and_product_are_those_of_the_values(p, q):
    for z in ONE_HOT:
        assert (p + q).value(z) == p.value(z) + q.value(z)
        assert (p * q).value(z) == p.value(z) * q.value(z)


@given(polynomials, st.integers(-5, 5))
def test_scaling(p, factor):
    for z in ONE_HOT:
        assert (p * float(factor)).value(z) == factor * p.value(z)
    assert (p * 0.0).terms == {}


@given(st.lists(polynomials, max_size=4))
def test_sum_of_many(ps):
    for z in ONE_HOT:
        assert Polynomial.sum(ps).value(z) == sum(p.value(z) for p in ps)


@given(_conditions(), _conditions())
def test_either_is_the_logical_or(p, q):
    for z in ONE_HOT:
        assert p.value(z) in (0, 1)
        assert p.either(q).value(z) == max(p.value(z), q.value(z))


@given(_conditions())
def test_a_condition_times_itself_is_itself(p):
    for z in ONE_HOT:
        assert (p * p).value(z) == p.value(z)
        assert p.either(p).value(z) == p.value(z)


@given(polynomials, polynomials, polynomials)
def test_ring_laws_hold_term_by_term(p, q, r):
    assert (p * q).terms == (q * p).terms
    assert ((p * q) * r).terms == (p * (q * r)).terms
    assert (p * (q + r)).terms == (p * q + p * r).terms
    assert (p * ONE).terms == p.terms == (p + Polynomial()).terms
    assert (p + p * -1.0).terms == {}


@given(polynomials, polynomials)
def test_products_stay_multilinear_and_canonical(p, q):
    for term, value in (p * q).terms.items():
        labels = [label for label, _ in term]
        assert labels == sorted(set(labels))
        assert value != 0


def test_entries_of_one_label_exclude_each_other():
    for (label, i), (other, j) in itertools.product(ENTRIES, ENTRIES):
        product = Polynomial.entry(label, i) * Polynomial.entry(other, j)
        if label == other and i != j:
            assert product.terms == {}
        elif label == other:
            assert product.terms == Polynomial.entry(label, i).terms
        else:
            assert product.terms == {tuple(sorted([(label, i), (other, j)])): 1.0}


def test_constants():
    assert Polynomial.constant(0.0).terms == {}
    assert Polynomial.constant(3.0).value({}) == 3.0
    assert ONE.value({"a": 1}) == 1.0
