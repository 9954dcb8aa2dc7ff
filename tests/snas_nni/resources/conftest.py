"""Tools that the tests of costs share: counted supernets, samples of a space, children to compare with."""

import itertools
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from nni.nas.evaluator.pytorch import DataLoader, Lightning, LightningModule, Trainer
from nni.nas.experiment import NasExperiment
from nni.nas.nn.pytorch import ModelSpace
from sample_tools import all_or_some_samples, outcomes
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from snas_nni import SNAS, derive_child
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.choices import OneOf
from snas_nni.distribution.polynomial import Polynomial, Term
from snas_nni.resources import Convention, CostModel, count_child, count_supernet

sys.path[:0] = [str(Path(__file__).parent)]  # for the table of layers


def counted(
    make: Callable[[], ModelSpace], inputs: Any, convention: Convention | None = None, **settings: Any
) -> SimpleNamespace:
    """A supernet with its distribution and its costs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        strategy = SNAS(**{"seed": 7, **settings})
        supernet = strategy.mutate_model(make())
    distribution = strategy.distribution
    return SimpleNamespace(
        strategy=strategy,
        supernet=supernet,
        distribution=distribution,
        model=count_supernet(supernet, distribution, inputs, convention),
        inputs=inputs,
        convention=convention,
    )


def samples(distribution: ArchitectureDistribution, at_most: int = 10**6, seed: int = 0) -> list[dict[str, Any]]:
    """Every NNI sample of the space, or ``at_most`` random ones."""
    return all_or_some_samples(distribution, at_most, seed)


def assert_exact(case: SimpleNamespace, at_most: int = 3, seed: int = 0) -> None:
    """C at one-hot Z is exactly what the counter measures on the derived child, and params its number of elements."""
    for sample in all_or_some_samples(case.distribution, at_most, seed):
        child = derive_child(case.supernet, sample)
        measured = count_child(child, case.inputs, case.convention)
        assert case.model.of(sample) == measured, sample
        if case.convention is None:
            assert measured["params"] == sum(p.numel() for p in child.parameters()), sample


def indices(distribution: ArchitectureDistribution) -> Iterator[dict[str, int]]:
    """Every one-hot Z as a candidate index by label."""
    sizes = {label: range(len(choice.candidates)) for label, choice in distribution.choices.items()}
    for chosen in itertools.product(*sizes.values()):
        yield dict(zip(sizes, chosen, strict=True))


def set_logits(distribution: ArchitectureDistribution, seed: int = 0, scale: float = 1.0) -> None:
    """Random logits in float64."""
    generator = torch.Generator().manual_seed(seed)
    distribution.double()
    with torch.no_grad():
        for parameter in distribution.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))


def made(
    sizes: Mapping[str, int], costs: Mapping[str, Mapping[Term, float]], owners: Mapping[str, int] | None = None
) -> SimpleNamespace:
    """A distribution over made-up labels and a cost model of made-up polynomials, without a network.

    A term belongs to its first label, in layer 0.
    """
    choices = {label: OneOf(label, tuple(f"c{k}" for k in range(size))) for label, size in sizes.items()}
    parts: dict[str, dict[Any, Polynomial]] = {}
    for name, terms in costs.items():
        by_owner: dict[Any, dict[Term, float]] = {}
        for term, value in terms.items():
            by_owner.setdefault((term[0][0], 0) if term else None, {})[term] = value
        parts[name] = {owner: Polynomial(found) for owner, found in by_owner.items()}
    distribution = ArchitectureDistribution(choices, seed=3)
    return SimpleNamespace(distribution=distribution, model=CostModel(choices, parts))


def one_layer(layer: nn.Module) -> type[ModelSpace]:
    """A space that is one layer."""

    class Space(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, *args: Tensor) -> Any:
            return self.layer(*args)

    return Space


class Module(LightningModule):
    """Cross-entropy times ``task``, SGD."""

    def __init__(self, task: float = 1.0, learning_rate: float = 0.05) -> None:
        super().__init__()
        self.task, self.learning_rate = task, learning_rate

    def set_model(self, model: nn.Module) -> None:
        self.net = model

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=self.learning_rate, momentum=0.9)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        loss: Tensor = self.task * nn.functional.cross_entropy(self.net(x), y)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        self.log("accuracy", (self.net(x).argmax(-1) == y).float().mean())


def searched(
    space: ModelSpace,
    strategy: SNAS,
    shape: tuple[int, ...],
    *,
    module: LightningModule | None = None,
    classes: int = 3,
    images: int = 32,
    batch_size: int = 8,
    fit_kwargs: dict[str, Any] | None = None,
    **trainer: Any,
) -> SimpleNamespace:
    """A search through ``NasExperiment``, on random images with labels that can be learned."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(images, *shape, generator=generator)
    y = (x.flatten(1) @ torch.randn(x[0].numel(), classes, generator=generator)).argmax(-1)
    data = TensorDataset(x, y)
    evaluator = Lightning(
        module or Module(),
        Trainer(
            **{
                "max_epochs": 1,
                "logger": False,
                "enable_progress_bar": False,
                "enable_model_summary": False,
                "enable_checkpointing": False,
                "accelerator": "cpu",
                **trainer,
            }
        ),
        train_dataloaders=DataLoader(data, batch_size=batch_size),
        val_dataloaders=DataLoader(data, batch_size=batch_size),
        fit_kwargs=fit_kwargs,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        experiment = NasExperiment(space, evaluator, strategy)
        experiment.run()
        sample = experiment.export_top_models(formatter="dict")[0]
        child = experiment.export_top_models(formatter="instance")[0]
        experiment.stop()
    return SimpleNamespace(
        sample=sample,
        child=child,
        trainer=evaluator.trainer,
        metrics={name: float(value) for name, value in evaluator.trainer.callback_metrics.items()},
        lightning=strategy.oneshot_module,
        example=x[:1],
        data=(x, y),
    )


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """The functions of this file, for tests that cannot import it."""
    return SimpleNamespace(
        Module=Module,
        assert_exact=assert_exact,
        counted=counted,
        indices=indices,
        made=made,
        one_layer=one_layer,
        outcomes=outcomes,
        samples=samples,
        searched=searched,
        set_logits=set_logits,
    )
