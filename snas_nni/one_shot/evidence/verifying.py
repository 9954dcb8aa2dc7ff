"""A derived child is run beside the supernet at its sample, on a batch: it is that network, or it is refused."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from snas_nni.derivation.child import child_place
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.errors import SnasError
from snas_nni.one_shot.evidence.batches import Batches, held_out
from snas_nni.one_shot.evidence.step_log import StepLog
from snas_nni.one_shot.lightning_compat import trainer_of
from snas_nni.one_shot.resume_state import random_state, set_random_state, undisturbed_metrics

__all__ = ["largest_difference", "refuse_another_network"]

_logger = logging.getLogger(__name__)

_TOLERANCES = {torch.float64: 1e-8, torch.complex128: 1e-8, torch.bfloat16: 0.05, torch.float16: 0.02}
_USUAL_TOLERANCE = 1e-3  # of 32 bits: deep networks add up rounding, another network differs by far more

Run = Callable[[], Any]
Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def refuse_another_network(
    search: Any, supernet: Any, sample: Mapping[str, Any], child: nn.Module, validation: Any = None
) -> None:
    """Compare a child with the supernet at its sample, in evaluation mode, on the first batch.

    The evaluator's ``validation_step`` runs the supernet on the batch, as in the search, and the child gets the same
    arguments. Nothing that is drawn, measured or logged meanwhile leaves a trace. A network that gives other outputs
    each time cannot be compared, and neither can one without a batch; a warning says so.

    Args:
        search: with the supernet in its evaluator's module; has held-out batches.
        supernet: at the state that the child was derived from.
        sample: NNI sample of the child.
        child: left in the mode that it is in.
        validation: loader of held-out batches; None: those of the search.

    Raises:
        SnasError: the child gives other outputs, or none at all.
    """
    batches = search.held_out_batches() if validation is None else [held_out(validation)]
    if not batches:
        _logger.warning("there are no held-out data, so the child was not compared with the supernet.")
        return
    states, training_module, trainer = random_state(), search.training_module, trainer_of(search)
    distribution: ArchitectureDistribution = search.distribution
    try:
        with ExitStack() as stack:
            stack.enter_context(_evaluation(training_module, child))
            stack.enter_context(undisturbed_metrics(training_module))
            stack.enter_context(StepLog(training_module).listening())
            stack.enter_context(distribution.use(distribution.one_hot_sample(sample)))
            if trainer is not None:
                stack.enter_context(trainer.precision_plugin.val_step_context())
            batch = next(iter([*Batches(batches[0].loader, 1).seeded(search.seed)]), None)
            if trainer is not None:
                batch = trainer.precision_plugin.convert_input(batch)
            position = (0,) if len(batches) > 1 else ()
            arguments = _arguments(training_module, child_place(supernet), batch, *position)
            if arguments is None:
                _logger.warning("validation_step does not run the space, so the child was not compared with it.")
                return
            _compare(lambda: _call(child_place(supernet), arguments), lambda: _call(child, arguments))
    finally:
        set_random_state(states)


def _compare(run_supernet: Run, run_child: Run) -> None:
    expected = _seeded(run_supernet)
    try:
        found = _seeded(run_child)
    except Exception as error:
        raise SnasError(f"the derived child does not run where the supernet does: {error}. {_WAY_OUT}") from error
    difference = largest_difference(expected, found)
    if difference is None or difference <= 1.0:
        return
    # Noise in evaluation mode: the two draw in another order.
    if largest_difference(expected, _seeded(run_supernet, 1)) != 0.0:
        _logger.warning("the network gives other outputs each time, so the child was not compared with the supernet.")
        return
    raise SnasError(
        f"the derived child is not the network that was searched: its outputs differ from the supernet's by "
        f"{difference:,.0f} times what rounding explains. {_WAY_OUT}"
    )


_WAY_OUT = (
    "It is not written, the checkpoints of the search stay. A module of the space that keeps state of its own, or "
    "makes its layers anew from other arguments than it was made of, is the usual reason"
)


def largest_difference(expected: Any, found: Any) -> float | None:
    """The largest difference of two nests of tensors, in tolerances of their type; None if they have no real numbers.

    A difference is relative to the largest number of its tensor. Tensors that do not match are infinitely different,
    and so are numbers of which one alone is not finite.
    """
    first, second = ([each for each in tree_leaves(nest) if _is_real(each)] for nest in (expected, found))
    if len(first) != len(second):
        return float("inf")
    differences = [_difference(one, other) for one, other in zip(first, second, strict=True)]
    return max(differences) if differences else None


def _difference(expected: Tensor, found: Tensor) -> float:
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return float("inf")
    tolerance = _TOLERANCES.get(expected.dtype, _USUAL_TOLERANCE)
    wide = torch.complex128 if expected.is_complex() else torch.float64
    one, other = expected.detach().cpu().to(wide), found.detach().cpu().to(wide)
    finite = one.isfinite()
    if not torch.equal(finite, other.isfinite()):
        return float("inf")
    one, other = one[finite], other[finite]
    if not one.numel():
        return 0.0
    return float((one - other).abs().max() / one.abs().max().clamp_min(1e-6)) / tolerance


def _is_real(value: Any) -> bool:
    return isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())


def _seeded(run: Run, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return run()


def _call(network: nn.Module, arguments: Arguments) -> Any:
    args, kwargs = tree_map(lambda part: part.clone() if isinstance(part, Tensor) else part, arguments)
    return network(*args, **kwargs)


def _arguments(training_module: Any, place: nn.Module, batch: Any, *position: int) -> Arguments | None:
    """What the evaluator gives the network for a batch; None if it does not run it."""
    seen: list[Arguments] = []
    device = next(training_module.parameters()).device
    batch = tree_map(lambda part: part.to(device) if isinstance(part, Tensor) else part, batch)

    def note(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not seen:
            seen.append(tree_map(lambda part: part.clone() if isinstance(part, Tensor) else part, (args, kwargs)))

    handle = place.register_forward_pre_hook(note, with_kwargs=True, prepend=True)
    try:
        training_module.validation_step(batch, 0, *position)
    finally:
        handle.remove()
    return seen[0] if seen else None


@contextmanager
def _evaluation(*networks: nn.Module) -> Iterator[None]:
    modes = {module: module.training for network in networks for module in network.modules()}
    try:
        for network in networks:
            network.eval()
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
