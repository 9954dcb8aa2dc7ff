"""Tools that the tests of the strategy share: making supernets, enumerating samples, comparing with children."""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from nni.nas.evaluator.pytorch import Classification, DataLoader, Lightning, LightningModule, Trainer
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.space import RawFormatModelSpace
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from snas_nni import SNAS, build_child, derive_child
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution

sys.path.append(str(Path(__file__).parent))
from sample_tools import all_or_some_samples, outcomes


def tensors_of(output: Any) -> Iterator[Tensor]:
    """All tensors in a nest of tuples, lists and dicts, in order."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, dict):
        for key in sorted(output):
            yield from tensors_of(output[key])
    elif output is not None:
        for part in output:
            yield from tensors_of(part)


def projection(output: Any) -> Tensor:
    """A fixed random linear functional of everything in ``output``: a loss that no symmetry makes flat."""
    generator = torch.Generator().manual_seed(20)
    return torch.stack(
        [
            (part * torch.randn(part.shape, generator=generator, dtype=torch.float64).to(part)).sum()
            for part in tensors_of(output)
        ]
    ).sum()


def mutate(space: ModelSpace, **settings: Any) -> tuple[SNAS, ModelSpace]:
    """A strategy and the supernet it made of ``space``."""
    strategy = SNAS(**{"seed": 7, **settings})
    return strategy, strategy.mutate_model(space)


def run_at(distribution: ArchitectureDistribution, supernet: nn.Module, values: dict[str, Any], *inputs: Any) -> Any:
    """The supernet's output at the one-hot sample ``values``."""
    with torch.no_grad(), distribution.use(distribution.one_hot_sample(values)):
        return supernet(*inputs)


def assert_same(actual: Any, expected: Any, **tolerance: float) -> None:
    """Equal nests of tensors."""
    torch.testing.assert_close(actual, expected, **{"rtol": 1e-4, "atol": 1e-5, **tolerance})


def space_of(init: Callable[[Any], None], forward: Callable[..., Any] | None = None) -> type[ModelSpace]:
    """A model space whose constructor runs ``init(self)``; it runs ``self.layer`` unless told otherwise."""

    class Space(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            init(self)

        def forward(self, *args: Any) -> Any:
            return self.layer(*args) if forward is None else forward(self, *args)

    return Space


def storages(module: nn.Module) -> set[int]:
    """Addresses of the memory that a module's parameters and buffers live in."""
    tensors = [*module.parameters(), *module.buffers()]
    return {t.untyped_storage().data_ptr() for t in tensors if t.numel()}


def check_space(
    make: Callable[[], ModelSpace],
    inputs: Sequence[Any],
    *,
    at_most: int = 24,
    without_gradient: Sequence[str] = (),
    gradients: bool = True,
    **settings: Any,
) -> SimpleNamespace:
    """Everything that must hold of any space.

    One relaxed step gives every logit a finite gradient that is not zero; at any one-hot sample the supernet, the
    derived child and the rebuilt child that loads its weights give the same output; the child shares no memory.

    Args:
        make: makes the space, the same at every call.
        inputs: of the network.
        at_most: how many samples are compared; all of them if the space is smaller.
        without_gradient: labels whose logits cannot matter.
        gradients: whether every logit has a gradient (a choice between two equal things has none).
        settings: of SNAS.
    """
    torch.manual_seed(3)
    strategy, supernet = mutate(make(), **{"skip_tolerance": 0.0, **settings})
    distribution = strategy.distribution

    supernet.train()
    weights = torch.optim.SGD(supernet.parameters(), lr=0.01)
    with distribution.use(distribution.draw(1.0)):
        projection(supernet(*inputs)).backward()
    for label in distribution.choices if gradients else ():
        gradient = distribution.logits_of(label).grad
        if label in without_gradient or len(outcomes(distribution.choices[label])) == 1:
            assert gradient is None or not gradient.any(), label
        else:
            assert gradient is not None, label
            assert torch.isfinite(gradient).all(), label
            assert (gradient != 0).all(), (label, gradient)
    nn.utils.clip_grad_norm_(supernet.parameters(), 1.0, error_if_nonfinite=True)
    weights.step()

    supernet.eval()
    samples = all_or_some_samples(distribution, at_most, seed=5)
    for values in samples:
        expected = run_at(distribution, supernet, values, *inputs)
        child = derive_child(supernet, values).eval()
        with torch.no_grad():
            assert_same(child(*inputs), expected)
            again = build_child(make, {}, values)
            again.load_state_dict(child.state_dict())
            assert_same(again.eval()(*inputs), expected)
            assert not storages(child) & storages(supernet), values
            for parameter in child.parameters():
                parameter.add_(1.0)
            assert_same(run_at(distribution, supernet, values, *inputs), expected)
    return SimpleNamespace(strategy=strategy, supernet=supernet, distribution=distribution, samples=samples)


class PlainClassifier(LightningModule):
    """A user's own Lightning module: cross-entropy and accuracy, SGD, an optional schedule."""

    def __init__(self, learning_rate: float = 0.05, scheduler: Any = None) -> None:
        super().__init__()
        self.learning_rate = learning_rate
        self.scheduler = scheduler
        self.seen_rates: list[float] = []
        self.training_losses: list[float] = []

    def set_model(self, model: nn.Module) -> None:
        self.net = model

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=self.learning_rate, momentum=0.9)
        if self.scheduler is None:
            return optimizer
        return [optimizer], [self.scheduler(optimizer)]

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        loss = nn.functional.cross_entropy(self(x), y)
        self.training_losses.append(float(loss.detach()))
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        self.log("val_acc", (self(x).argmax(-1) == y).float().mean())


def dataset(
    shape: tuple[int, ...], classes: int, count: int, seed: int = 0, dtype: Any = torch.float32
) -> TensorDataset:
    """Random inputs with labels that a network can learn: the nearest of ``classes`` random directions."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, *shape, generator=generator, dtype=dtype)
    directions = torch.randn(x[0].numel(), classes, generator=torch.Generator().manual_seed(99), dtype=dtype)
    return TensorDataset(x, (x.flatten(1) @ directions).argmax(-1))


def quiet(**more: Any) -> dict[str, Any]:
    """Trainer arguments of a run without output."""
    return {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "accelerator": "cpu",
        **more,
    }


def search(
    space: ModelSpace,
    strategy: SNAS,
    *,
    module: LightningModule | None = None,
    shape: tuple[int, ...] = (6,),
    classes: int = 3,
    count: int = 32,
    batch_size: int = 8,
    fit_kwargs: dict[str, Any] | None = None,
    shuffle: bool = False,
    loader: Any = DataLoader,
    **trainer: Any,
) -> SimpleNamespace:
    """Run a search through NNI, with random data; return what it left."""
    module = module or PlainClassifier()
    train = loader(dataset(shape, classes, count, 1), batch_size=batch_size, shuffle=shuffle)
    val = DataLoader(dataset(shape, classes, count, 2), batch_size=batch_size)
    evaluator = Lightning(
        module,
        Trainer(**quiet(**{"max_epochs": 1, **trainer})),
        train_dataloaders=train,
        val_dataloaders=val,
        fit_kwargs=fit_kwargs,
    )
    strategy(RawFormatModelSpace(space, evaluator), SequentialExecutionEngine())
    return SimpleNamespace(
        strategy=strategy,
        module=module,
        evaluator=evaluator,
        trainer=evaluator.trainer,
        train=train,
        val=val,
        lightning=strategy.oneshot_module,
    )


@pytest.fixture(scope="session")
def tools() -> SimpleNamespace:
    """The functions of this file, for tests that cannot import it."""
    return SimpleNamespace(
        Classification=Classification,
        PlainClassifier=PlainClassifier,
        all_or_some_samples=all_or_some_samples,
        assert_same=assert_same,
        check_space=check_space,
        dataset=dataset,
        mutate=mutate,
        outcomes=outcomes,
        projection=projection,
        quiet=quiet,
        run_at=run_at,
        search=search,
        space_of=space_of,
        storages=storages,
        tensors_of=tensors_of,
    )
