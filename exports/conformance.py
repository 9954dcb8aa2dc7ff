"""The conformance check of a model space, which its author runs; ``snas_nni.testing`` hands it on."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from nni.nas.nn.pytorch import ModelSpace
from torch import Tensor, nn

from snas_nni.cpu_kernels.fast_layers import use_fast_kernels_in_training
from snas_nni.derivation.child import derive_child
from snas_nni.derivation.portability import changed_buffers, lazy_parameters, portability_notes, unsaved_buffers
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.errors import SnasError
from snas_nni.resources import count_child
from snas_nni.strategy import SNAS

__all__ = ["SpaceReport", "check_space"]


STEPS = ("search", "cost", "derive", "rebuild", "export")


@dataclass
class SpaceReport:
    """What works with a space, and why the rest does not.

    Attributes:
        passed: steps that work, of "search", "cost", "derive", "rebuild" and "export".
        failed: reason in words for each step that does not; steps that build on a failed one are left out.
        notes: what is allowed but worth knowing.
    """

    passed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{step}: works" for step in self.passed]
        lines += [f"{step}: FAILS. {reason}" for step, reason in self.failed.items()]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def check_space(
    make_space: Callable[[], ModelSpace],
    make_input: Callable[[], Any],
    *,
    samples: int = 4,
    tolerance: float = 1e-4,
    seed: int = 0,
    export: bool = True,
    raise_on_failure: bool = True,
) -> SpaceReport:
    """Check whether a space can be searched, costed, derived, rebuilt from JSON and exported to ONNX.

    Args:
        make_space: makes the space anew; a class that can be called without arguments, or a function.
        make_input: makes an input batch of at least two examples: a tensor, or a tuple of arguments of ``forward``.
        samples: how many random children are checked.
        tolerance: largest allowed difference of outputs, relative to their largest value.
        seed: of weights and samples.
        export: whether to try ONNX, which takes seconds and single tensors only.
        raise_on_failure: raise at the end if a step failed.

    Raises:
        SnasError: with the whole report, if a step failed.

    Examples:
        >>> from nni.nas.nn.pytorch import LayerChoice
        >>> class TwoLayers(ModelSpace):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.first = LayerChoice({"wide": nn.Linear(8, 8), "none": nn.Identity()}, label="first")
        ...         self.second = nn.Linear(8, 2)
        ...     def forward(self, x):
        ...         return self.second(self.first(x).relu())
        >>> print(check_space(TwoLayers, lambda: torch.randn(4, 8), export=False))
        search: works
        cost: works
        derive: works
        rebuild: works
    """
    check = _Check(make_space, make_input, samples, tolerance, seed)
    report = check.report
    if check.run("search", check.search):
        check.run("cost", check.cost)
        if check.run("derive", check.derive):
            check.run("rebuild", check.rebuild)
            if export:
                check.run("export", check.export)
    if report.failed and raise_on_failure:
        raise SnasError(f"the space does not conform:\n{report}")
    return report


class _Check:
    def __init__(
        self,
        make_space: Callable[[], ModelSpace],
        make_input: Callable[[], Any],
        samples: int,
        tolerance: float,
        seed: int,
    ) -> None:
        self.report = SpaceReport()
        self.make_space = make_space
        self.tolerance = tolerance
        self.samples = samples
        self.seed = seed
        torch.manual_seed(seed)
        given = make_input()
        self.inputs: tuple[Any, ...] = given if isinstance(given, tuple) else (given,)
        self.strategy = SNAS(seed=seed)

    def run(self, name: str, step: Callable[[], None]) -> bool:
        try:
            step()
        except Exception as error:  # whatever a space's own code raises is a finding, not a crash of the check
            self.report.failed[name] = f"{type(error).__name__}: {error}"
            return False
        self.report.passed.append(name)
        return True

    @property
    def distribution(self) -> ArchitectureDistribution:
        return self.strategy.distribution

    def search(self) -> None:
        """Some search steps: every logit that the loss depends on gets a finite gradient, and all stays finite."""
        self.space = self.make_space()
        if not isinstance(self.space, ModelSpace):
            raise SnasError(f"make_space returned a {type(self.space).__name__}, not an nni.nas.nn.pytorch.ModelSpace.")
        self.lazy = lazy_parameters(self.space)
        self.report.notes += portability_notes(self.space)
        self.supernet = self.strategy.mutate_model(self.space)
        before_training = unsaved_buffers(self.supernet)
        with ExitStack() as undo:
            undo.callback(use_fast_kernels_in_training(self.supernet, self.supernet, self._device))
            self._some_steps()
        self.changed = changed_buffers(before_training, self.supernet)
        self.report.notes += portability_notes(nn.Module(), self.changed)

    def _some_steps(self) -> None:
        self._first_step()
        weights = torch.optim.SGD(self.supernet.parameters(), lr=1e-3)
        logits = torch.optim.Adam(self.distribution.parameters(), lr=0.1)
        before = {label: self.distribution.logits_of(label).detach().clone() for label in self.distribution.choices}
        for temperature in (0.7, 0.3):
            nn.utils.clip_grad_norm_(self.supernet.parameters(), 1.0)
            weights.step()
            logits.step()
            weights.zero_grad()
            logits.zero_grad()
            self._backward(temperature)
        broken = [name for name, value in self.supernet.named_parameters() if not bool(value.isfinite().all())]
        if broken:
            raise SnasError(f"after some steps these weights are not finite: {', '.join(broken[:5])}.")
        if all(torch.equal(self.distribution.logits_of(label), old) for label, old in before.items()):
            raise SnasError("the logits of no label moved.")

    @property
    def _device(self) -> str:
        return next((value.device.type for value in self.inputs if isinstance(value, Tensor)), "cpu")

    def _backward(self, temperature: float) -> None:
        self.supernet.train()
        with self.distribution.use(self.distribution.draw(temperature)):
            loss = _first_tensor(self.supernet(*self.inputs)).float().square().mean()
            loss.backward()  # type: ignore[no-untyped-call]

    def _first_step(self) -> None:
        self._backward(1.0)
        gradients = {label: self.distribution.logits_of(label).grad for label in self.distribution.choices}
        broken = [label for label, g in gradients.items() if g is not None and not bool(g.isfinite().all())]
        if broken:
            raise SnasError(f"the gradient of the logits of {', '.join(broken)} is not finite.")
        still = [label for label, g in gradients.items() if g is None or not bool(g.any())]
        if len(still) == len(gradients):
            raise SnasError("no logit gets a gradient: the output does not depend on any choice.")
        for label in still:
            self.report.notes.append(f"label '{label}' got no gradient in the step that was tried")

    def cost(self) -> None:
        """C at random samples equals the count on the frozen child."""
        example = tuple(_one_example(value) for value in self.inputs)
        with ExitStack() as undo:  # as a search counts them, in its first step
            undo.callback(use_fast_kernels_in_training(self.supernet, self.supernet, self._device))
            model = self.strategy.cost_model(example)
        for sample in self._random_samples():
            expected, counted = model.of(sample), count_child(self._child(sample), example)
            if expected != counted:
                raise SnasError(
                    f"the cost model says {expected}, a child has {counted}; it is the one of {_shortened(sample)}"
                )

    def derive(self) -> None:
        """The child gives the supernet's output at the one-hot sample."""
        for sample in self._random_samples():
            child = self._child(sample).eval()
            self.supernet.eval()
            with torch.no_grad(), self.distribution.use(self.distribution.one_hot_sample(sample)):
                self._equal(child(*self.inputs), self.supernet(*self.inputs), f"the child of {_shortened(sample)}")

    def rebuild(self) -> None:
        """The child comes back from an architecture file and a weights file."""
        from exports import Architecture, build, load, save, save_weights  # the strategy itself needs no exports
        from exports.rebuilding.find_space import imported_paths

        if self.lazy or self.changed:
            raise SnasError(
                f"the child's files lack what the notes say of {', '.join([*self.lazy, *self.changed][:5])}."
            )
        sample = self.distribution.mode()
        child = self._child(sample).eval()
        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder) / "weights.safetensors"
            record = Architecture.create(space=self.space, sample=sample, child=child)
            save(record.with_weights(weights, save_weights(child, weights)), Path(folder) / "architecture.json")
            # What the author's own space imports, the author has named.
            imported = imported_paths(type(self.space), record.space.arguments).values()
            rebuilt = build(load(Path(folder) / "architecture.json"), spaces=[type(self.space), *imported]).eval()
        with torch.no_grad():
            self._equal(rebuilt(*self.inputs), child(*self.inputs), "the rebuilt child")

    def export(self) -> None:
        """The child at the mode runs in ONNX Runtime."""
        from exports import export_onnx

        if len(self.inputs) != 1 or not isinstance(self.inputs[0], Tensor):
            raise SnasError("only networks with one input tensor are exported.")
        child = self._child(self.distribution.mode())
        with tempfile.TemporaryDirectory() as folder:
            export_onnx(child, Path(folder) / "model.onnx", self.inputs[0], tolerance=self.tolerance)

    def _child(self, sample: dict[str, Any]) -> nn.Module:
        return derive_child(self.supernet, sample)

    def _random_samples(self) -> list[dict[str, Any]]:
        generator = random.Random(self.seed)
        return [
            {
                label: choice.value(
                    [generator.randrange(self.distribution.rows_of(label).shape[-1]) for _ in range(rows)]
                )
                for label, choice in self.distribution.choices.items()
                for rows in [len(self.distribution.rows_of(label))]
            }
            for _ in range(self.samples)
        ]

    def _equal(self, found: Any, expected: Any, what: str) -> None:
        first, second = _first_tensor(found), _first_tensor(expected)
        if first.shape != second.shape:
            raise SnasError(f"{what} returns shape {tuple(first.shape)}, not {tuple(second.shape)}.")
        difference = float((first - second).abs().max())
        if not difference <= self.tolerance * max(1.0, float(second.abs().max())):
            raise SnasError(f"{what} differs by {difference:.3g}.")


def _shortened(sample: dict[str, Any]) -> str:
    text = str(sample)
    return text if len(text) <= 300 else f"{text[:300]}..."


def _first_tensor(output: Any) -> Tensor:
    while not isinstance(output, Tensor):
        output = next(iter(output.values())) if isinstance(output, dict) else output[0]
    return output


def _one_example(value: Any) -> Any:
    return value[:1] if isinstance(value, Tensor) else value
