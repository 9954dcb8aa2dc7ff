"""The architecture distribution: the logits of all labels, and everything that is drawn or read from them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from snas_nni.distribution.choices import Choice, chosen_categories
from snas_nni.distribution.concrete import concrete_log_density, concrete_log_sample, entropy, gumbel_noise
from snas_nni.distribution.excluding import Excluded
from snas_nni.distribution.sample import ChoiceReader, CurrentSample, Sample
from snas_nni.distribution.single_path import one_path
from snas_nni.errors import SettingError, UnsupportedSpaceError

__all__ = ["ArchitectureDistribution"]


def _key(label: str) -> str:
    # A parameter's name must not hold a dot; "%" is escaped too so that no two labels share a key. The colon keeps
    # labels such as "values" or "type" apart from what a module has under that name.
    return "label:" + label.replace("%", "%25").replace(".", "%2E")


class ArchitectureDistribution(nn.Module):
    """p(Z) = product over labels of a categorical distribution with logits a (paper, section 2.1).

    Holds the trainable logits and the sample that the supernet runs with. Noise comes from a CPU generator of its
    own, which on a GPU seeds each draw, so that the search's draws do not depend on what else uses random numbers, and
    ranks that start with the same seed draw the same Z.

    Args:
        choices: the choice behind each label of the space.
        initial_std: the logits start as Normal(0, initial_std). The official code starts at Normal(1, 0.01); the
            mean has no effect on the distribution, only on what weight decay does to it.
        seed: of the initial logits and of all later draws.
        sample_per_layer: every module draws its own Z; the paper shares one among all modules of a label.
        skip_tolerance: of the supernet that runs with the samples; 0 runs every candidate.
    """

    def __init__(
        self,
        choices: Mapping[str, Choice],
        *,
        initial_std: float = 0.01,
        seed: int = 0,
        sample_per_layer: bool = False,
        skip_tolerance: float = 0.0,
    ) -> None:
        super().__init__()
        self.choices = dict(choices)
        self.sample_per_layer = sample_per_layer
        self.generator = torch.Generator().manual_seed(seed)
        self.current = CurrentSample(skip_tolerance)
        self.current.mode = self._mode_sample_once
        self._mode_sample: tuple[tuple[int, ...], Sample] | None = None
        self.readers: dict[str, list[ChoiceReader]] = {label: [] for label in choices}
        self.logits = nn.ParameterDict(
            {
                _key(label): nn.Parameter(torch.randn(choice.logits_shape, generator=self.generator) * initial_std)
                for label, choice in self.choices.items()
            }
        )
        self._shapes = {label: choice.rows(self.logits_of(label)).shape for label, choice in self.choices.items()}
        self._excluded = Excluded(self._shapes)
        self._tilt: Mapping[str, Tensor] = {}

    def exclude(self, categories: Mapping[str, Iterable[int]]) -> None:
        """Condition the distribution on not having some categories, in place of any that were excluded before.

        They get probability 0 and no gradient; a label with one category left is decided.

        Args:
            categories: indices by label, for labels of one categorical variable (all but gates of any number of
                inputs). Each label keeps at least one.

        Raises:
            SnasError: an unknown label, a category that does not exist, or none that would be left.
        """
        self._excluded = Excluded(self._shapes, categories)
        self._mode_sample = None

    def exclude_also(self, categories: Mapping[str, Iterable[int]]) -> None:
        """Exclude categories beside those that are excluded already; arguments and errors are those of ``exclude``."""
        labels = {*self.excluded, *categories}
        self.exclude({label: {*self.excluded.get(label, ()), *categories.get(label, ())} for label in labels})

    @property
    def excluded(self) -> dict[str, tuple[int, ...]]:
        """Categories that no child may have, by label; a checkpoint keeps them."""
        return self._excluded.categories

    @property
    def is_decided(self) -> bool:
        """Whether every label has one category left."""
        return self._excluded.leaves_one

    def exclude_in(self, label: str, rows: Tensor) -> Tensor:
        """Rows of logits, shape ``(..., rows, C)``, with -inf in place of the excluded categories of ``label``."""
        return self._excluded.masked(label, rows)

    def get_extra_state(self) -> dict[str, list[int]]:
        """What a checkpoint keeps beside the logits: the excluded categories."""
        # NNI's labels are a class of their own, which a file that executes nothing must not name.
        return {str(label): list(indices) for label, indices in self.excluded.items()}

    def set_extra_state(self, state: Mapping[str, Iterable[int]]) -> None:
        """Go on from a checkpoint."""
        self.exclude(state)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if not self.excluded:  # whoever goes through a state_dict then meets tensors only
            del destination[f"{prefix}_extra_state"]

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        state_dict.setdefault(f"{prefix}_extra_state", {})  # there is none where nothing is excluded
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ArchitectureDistribution:
        # `model.bfloat16()` reaches every parameter below it. Logits stay in float32: at temperature 0.03 the
        # 8 bits of a bfloat16 mantissa would move a sample by more than the noise does.
        def keep_precision(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            if moved.dtype in (torch.float16, torch.bfloat16):
                return tensor.to(device=moved.device)
            return moved

        return super()._apply(keep_precision, recurse)  # type: ignore[no-untyped-call]

    def __deepcopy__(self, memo: dict[int, Any]) -> ArchitectureDistribution:
        return self  # one supernet has one distribution, whatever is copied around it

    def logits_of(self, label: str) -> nn.Parameter:
        """Trainable logits of a label, of the shape that its choice asks for."""
        return self.logits[_key(label)]

    def rows_of(self, label: str) -> Tensor:
        """Logits of the categorical variables of a label, shape ``(rows, C)``; -inf for excluded categories."""
        rows = self.exclude_in(label, self.choices[label].rows(self.logits_of(label)))
        return rows - self._tilt[label] if label in self._tilt else rows

    @contextmanager
    def tilted(self, losses: Mapping[str, Tensor]) -> Iterator[None]:
        """Take something from the logits inside a ``with`` block; gradients reach them as they would without.

        Args:
            losses: nats of each category by label, shape ``(C,)``; other labels stay.
        """
        before, self._tilt = self._tilt, losses
        try:
            yield
        finally:
            self._tilt = before

    def bind(self, label: str) -> ChoiceReader:
        """Give a module of the supernet its view of ``label``.

        Raises:
            UnsupportedSpaceError: the space has no such label.
        """
        if label not in self.choices:
            raise UnsupportedSpaceError(
                f"label '{label}' is used by a module but is not a mutable of the space. "
                f"The space has: {', '.join(sorted(self.choices))}."
            )
        reader = ChoiceReader(self.current, self.choices[label], len(self.readers[label]))
        self.readers[label].append(reader)
        return reader

    def draw(self, temperature: float, generator: torch.Generator | None = None) -> Sample:
        """Draw one relaxed Z for every label.

        Args:
            temperature: lambda > 0.
            generator: a CPU generator to use in place of the search's own.

        Raises:
            SettingError: the temperature is not positive.
        """
        if not temperature > 0:
            raise SettingError(f"temperature must be positive, got {temperature}.")
        by_size: dict[int, list[str]] = defaultdict(list)
        rows: dict[str, Tensor] = {}
        for label in self.choices:
            layers = max(1, len(self.readers[label])) if self.sample_per_layer else 1
            label_rows = self.rows_of(label)
            rows[label] = label_rows.expand(layers, *label_rows.shape)
            by_size[label_rows.shape[-1]].append(label)
        log_rows: dict[str, Tensor] = {}
        # One kernel per number of categories rather than one per label.
        for size, labels in by_size.items():
            logits = torch.cat([rows[label].reshape(-1, size) for label in labels])
            noise = gumbel_noise(logits.shape, generator or self.generator, logits.device).to(logits)
            log_z = concrete_log_sample(logits, temperature, noise)
            parts = log_z.split([rows[label].shape[0] * rows[label].shape[1] for label in labels])  # type: ignore[no-untyped-call]
            log_rows.update((label, part.view(rows[label].shape)) for label, part in zip(labels, parts, strict=True))
        return Sample(self.choices, {label: log_rows[label] for label in self.choices}, temperature)

    def draw_single_path(self, temperature: float, generator: torch.Generator | None = None) -> Sample:
        """Draw one child: a one-hot Z of each label from its categorical distribution (DSNAS, arXiv 2002.09128).

        Only the chosen candidates run. The gradient of a label's logits is its credit, dL/dZ at the chosen
        candidate, times the score, grad log p(Z).

        Args:
            temperature: of the search, for those who ask the sample; the draw does not depend on it.
            generator: a CPU generator to use in place of the search's own.
        """
        relaxed = self.draw(1.0, generator)  # whose argmax is distributed as softmax(a), whatever the temperature
        log_rows, rows = {}, {}
        for label, log_z in relaxed.log_rows.items():
            log_rows[label], rows[label] = one_path(log_z, self.rows_of(label))
        return Sample(self.choices, log_rows, temperature, rows=rows, is_one_hot=True)

    def use(self, sample: Sample) -> AbstractContextManager[Sample]:
        """Run the supernet with ``sample`` inside a ``with`` block."""
        return self.current.use(sample)

    def one_hot_sample(self, values: Mapping[str, Any]) -> Sample:
        """The one-hot Z of an NNI sample ``{label: value}``.

        Raises:
            ValueError: names a label that is missing, or whose value no candidate has.
        """
        log_rows = {}
        for label, choice in self.choices.items():
            categories = chosen_categories(choice, values)
            rows = self.rows_of(label).detach()
            log_z = torch.full_like(rows, -torch.inf)
            log_z[torch.arange(len(rows)), torch.tensor(categories)] = 0.0
            log_rows[label] = log_z.unsqueeze(0)
        return Sample(self.choices, log_rows, 0.0, is_one_hot=True)

    def expected_sample(self) -> Sample:
        """Z at its expectation, the probabilities, as a constant: a relaxed sample without noise."""
        log_rows = {label: torch.log_softmax(self.rows_of(label).detach(), -1).unsqueeze(0) for label in self.choices}
        return Sample(self.choices, log_rows, 1.0)

    def mode(self) -> dict[str, Any]:
        """The most probable NNI sample: the argmax of every Z, the zero operation included."""
        return {label: choice.value(self.rows_of(label).argmax(-1).tolist()) for label, choice in self.choices.items()}

    def mode_sample(self) -> Sample:
        """The one-hot Z of :meth:`mode`."""
        return self.one_hot_sample(self.mode())

    def log_probability(self, values: Mapping[str, Any]) -> float:
        """Log-probability of the child of an NNI sample, in nats; -inf for one with an excluded candidate.

        Raises:
            ValueError: names a label that is missing, or whose value no candidate has.
        """
        total = 0.0
        for label, choice in self.choices.items():
            rows = torch.log_softmax(self.rows_of(label).detach().double(), -1)
            total += float(rows[torch.arange(len(rows)), torch.tensor(chosen_categories(choice, values))].sum())
        return total

    def _mode_sample_once(self) -> Sample:
        """The same, made anew only when a logit changed: every module of a supernet asks for it."""
        versions = tuple(parameter._version for parameter in self.parameters())
        if self._mode_sample is None or self._mode_sample[0] != versions:
            self._mode_sample = versions, self.mode_sample()
        return self._mode_sample[1]

    def log_density(self, sample: Sample) -> Tensor:
        """Log-density of a relaxed sample, log-probability of a one-hot one: a scalar; the sample is a constant."""
        if sample.is_one_hot:
            log_probabilities = [
                torch.log_softmax(self.rows_of(label), -1)
                .expand_as(sample.rows[label])[sample.rows[label].detach() > 0]
                .sum()
                for label in self.choices
            ]
            return torch.stack(log_probabilities).sum()
        terms = [
            concrete_log_density(sample.log_rows[label].detach(), self.rows_of(label), sample.temperature).sum()
            for label in self.choices
        ]
        return torch.stack(terms).sum()

    def expected_weights(self, label: str) -> Tensor:
        """Probability of each candidate to be in the child, shape ``(K,)``, differentiable."""
        return self.choices[label].weights(torch.softmax(self.rows_of(label), dim=-1))

    def probabilities(self) -> dict[str, dict[Any, float]]:
        """Probability of each candidate to be in the child, ``{label: {candidate: p}}``."""
        return {
            label: dict(zip(choice.candidates, self.expected_weights(label).tolist(), strict=True))
            for label, choice in self.choices.items()
        }

    def entropies(self) -> dict[str, float]:
        """Entropy of each label in nats."""
        return {label: float(entropy(self.rows_of(label)).sum()) for label in self.choices}
