"""The children of a search: which come into question, which one it chose, and what each reaches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from nni.nas.nn.pytorch import ModelSpace
from nni.nas.space import RawFormatModelSpace
from torch import nn

from snas_nni.derivation.child import derive_child
from snas_nni.derivation.derived_model import DerivedModel
from snas_nni.derivation.expected import ExpectedNetwork
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.errors import SettingError, SnasError
from snas_nni.one_shot.evidence.batches import Batches
from snas_nni.one_shot.evidence.comparing import ROUNDS, Accept, derive_judged, first_accepted, judge_after
from snas_nni.one_shot.evidence.judging import Judged, rank
from snas_nni.one_shot.evidence.settling import Settling
from snas_nni.one_shot.evidence.verifying import refuse_another_network
from snas_nni.one_shot.nni_strategy import NniStrategy
from snas_nni.one_shot.settings import SearchSettings
from snas_nni.resources import Budget, BudgetController, BudgetReport, Sweep
from snas_nni.resources.child_selection import ChildSelection

__all__ = ["ChildrenOfSearch"]


class Searched(Protocol):
    """A search that runs or ran, whichever loop it has."""

    settings: SearchSettings
    settling: Settling
    distribution: ArchitectureDistribution
    seed: int
    training_module: Any

    def held_out_batches(self) -> list[Batches]:
        """The batches that children are compared on; none where there are no held-out data."""
        ...

    def recalibration_batches(self) -> Batches | None:
        """The training batches that a child's BatchNorm statistics are measured on; None for none."""
        ...


class ChildrenOfSearch(NniStrategy):
    """What a strategy offers about its children once there is a supernet; :class:`~snas_nni.SNAS` derives from it.

    Attributes:
        budget_controller: knows the budget; None without one.
        accept: is asked about the children that are compared; None to take the best one.
        sweep: bounds what each step draws, in a search for every budget; None for none.
        budget_report: how the child that was chosen last meets the budget; None without one.
    """

    accept: Accept | None
    sweep: Sweep | None
    budget_controller: BudgetController | None
    budget_report: BudgetReport | None
    model_space: Any
    _search: Searched | None = None

    def selection(self, budget: Budget | None = None, example_input: Any = None) -> ChildSelection:
        """The children that come into question.

        Args:
            budget: bounds in place of those of the search. Candidates that the search excluded stay excluded.
            example_input: to count costs on, where none were counted yet; see :meth:`cost_model`.

        Raises:
            SettingError: no child meets the budget.
        """
        if budget is None:
            return ChildSelection(self.distribution, self.budget_controller, self.sweep)
        controller = BudgetController(budget)
        controller.prepare(self.cost_model(example_input))
        return ChildSelection(self.distribution, controller)

    def chosen_sample(self) -> dict[str, Any]:
        """The sample of the child: the one that the search settled on, else the most probable one within the budget.

        With a budget, ``budget_report`` then says how it meets it.
        """
        settled = self._search.settling.chosen if self._search is not None else None
        sample = settled or self.selection().current()
        self.budget_report = self.selection().report(sample)
        return sample

    def derive(
        self,
        candidates: int | None = None,
        *,
        budget: Budget | None = None,
        validation: Any = None,
        training: Any = None,
        accept: Accept | None = None,
    ) -> tuple[dict[str, Any], nn.Module]:
        """The chosen sample, and its child with the supernet's weights, which it does not share.

        Without arguments it is the child that the search showed last. With any of them, the best of several is
        derived instead, with the BatchNorm statistics that it was judged with.

        Args:
            candidates: how many of the most probable children are compared; the search's setting if None.
            budget: upper bounds in place of the search's. What the search excluded as beyond its own stays excluded.
            validation: loader of held-out batches to compare on; the evaluator's if None.
            training: loader of training batches for BatchNorm statistics; the evaluator's if None.
            accept: is asked about the children, the best first, and the first that it accepts is derived; the
                search's if None. It gets the sample and a copy of the child on the CPU.

        Raises:
            SettingError: no child meets the budget or is accepted, or the evaluator logs nothing to compare them by.
            SnasError: no search was run, there are no held-out data to compare on, or the child turns out to be
                another network than the supernet at its sample.
        """
        given = (candidates, budget, validation, training, accept)
        unasked = self.accept is not None and self._ran().settling.chosen is None
        if all(each is None for each in given) and not unasked:
            sample = self.chosen_sample()
            return sample, self._derived(sample, self._mutated)
        selection = self.selection(budget)
        count = self.settings.candidates if candidates is None else candidates
        if selection.controller is not None and not selection.controller.is_prepared:
            raise SnasError("the budget does not know the costs yet: pass example_input to restore.")
        if count < 1:
            raise SettingError(f"candidates must be at least 1, got {count}.")
        judge = judge_after(self._ran(), validation=validation, training=training)
        judged: list[Judged] = []
        best: Judged | None = None
        for _ in range(ROUNDS):
            further = judge.networks(selection.candidates, count, judged)
            if not further:
                break
            judged.extend(further)
            ranked = rank(further, self.settings.selection_metric)
            best = first_accepted(self._ran().training_module, self._mutated, ranked, accept or self.accept)
            if best is not None:
                break
        if best is None:
            raise SettingError(
                f"none of the {len(judged)} most probable children within the bounds is accepted. Compare more of them "
                "(candidates), or ask for less."
            )
        self.budget_report = selection.report(best.sample)
        return best.sample, self.child_of(best, validation)

    def compare(
        self, candidates: int, *, budget: Budget | None = None, validation: Any = None, training: Any = None
    ) -> list[Judged]:
        """The most probable children within the budget, the best on held-out data first; arguments as for `derive`."""
        if candidates < 1:
            raise SettingError(f"candidates must be at least 1, got {candidates}.")
        judge = judge_after(self._ran(), validation=validation, training=training)
        found = judge.networks(self.selection(budget).candidates, candidates)
        return rank(found, self.settings.selection_metric)

    def judge(
        self, samples: Sequence[Mapping[str, Any]], *, validation: Any = None, training: Any = None
    ) -> list[Judged]:
        """Children of any NNI samples, the best on held-out data first, each with BatchNorm statistics of its own.

        Args:
            samples: of the children.
            validation: loader of held-out batches to compare on; the evaluator's if None.
            training: loader of training batches for BatchNorm statistics; the evaluator's if None.

        Raises:
            SettingError: the evaluator logs nothing to compare children by.
            SnasError: no search was run, or there are no held-out data.
        """
        judge = judge_after(self._ran(), validation=validation, training=training)
        return rank(judge.all_of(samples), self.settings.selection_metric)

    def child_of(self, judged: Judged, validation: Any = None) -> nn.Module:
        """The child that was judged, with the BatchNorm statistics that it was judged with; it shares no weights.

        Args:
            judged: the child.
            validation: loader of held-out batches that it is compared with the supernet on; the evaluator's if None.

        Raises:
            SnasError: it is another network than the supernet at its sample.
        """
        return self._derived_as_judged(self._mutated, judged, validation)

    def expected_network(self, inputs: Iterable[Any] = ()) -> nn.Module:
        """The supernet at the probabilities of its candidates, as a network by itself: a teacher for a child, say.

        Args:
            inputs: batches of training inputs that its BatchNorm statistics are measured on; none for the supernet's.

        Raises:
            SnasError: no search was run.
        """
        self._ran()
        return ExpectedNetwork(self._mutated, self.distribution, inputs)

    def _derived(self, sample: Mapping[str, Any], supernet: Any) -> nn.Module:
        child = derive_child(supernet, sample)
        if self._search is not None:
            refuse_another_network(self._search, supernet, sample, child)
        return child

    def _derived_as_judged(self, supernet: Any, judged: Judged, validation: Any = None) -> nn.Module:
        search = self._ran()
        verify = partial(refuse_another_network, search, supernet, validation=validation)
        return derive_judged(search.training_module, supernet, judged, verify)

    def restore(
        self, space: ModelSpace, training_module: Any, checkpoint: Mapping[str, Any], example_input: Any = None
    ) -> None:
        """Go to where the checkpoint of a search is, so that children can be derived and compared without a run.

        Args:
            space: the model space, new; it becomes the supernet.
            training_module: the evaluator's Lightning module.
            checkpoint: what Lightning saved of a search of this space.
            example_input: to count costs on; needed for budgets, see :meth:`cost_model`.

        Raises:
            SnasError: the checkpoint is not of a search, or not of this space.
        """
        supernet = self.mutate_model(space)
        module = self.configure_oneshot_module(training_module)
        module.set_model(supernet)
        try:
            state = checkpoint["snas"]
            module.load_state_dict(checkpoint["state_dict"])
        except (KeyError, RuntimeError) as error:
            raise SnasError(f"the checkpoint is not of a search of {type(space).__name__}: {error}") from error
        module.settling.load_state_dict(state.get("settling", {"chosen": None}))
        self.distribution.generator.set_state(state["generator"].cpu())
        if module.costs is not None and self.latency_table is None:  # one that is given is of another device
            module.costs.load_state_dict(state.get("costs", {}))
        if example_input is not None:
            model = self.cost_model(example_input)
            if self.budget_controller is not None:
                self.budget_controller.prepare(model)

    def _ran(self) -> Searched:
        if self._search is None:
            raise SnasError("no search was run: run the experiment, or restore a checkpoint, first.")
        return self._search

    def list_models(self, sort: bool = True, limit: int | None = 1) -> Iterator[RawFormatModelSpace]:
        """The child, and after it the others of the ``limit`` most probable ones, ranked by what they reach.

        ``executable_model()`` of each is the child with inherited weights.

        Args:
            sort: not used; they are always sorted.
            limit: how many; None: as many as the search compares.
        """
        chosen = self.chosen_sample()
        count = self.settings.candidates if limit is None else limit
        if count == 1:
            yield DerivedModel.at(self.model_space, chosen, partial(self._derived, chosen))
            return
        judged = self.compare(count)
        settled = self._ran().settling.chosen
        if settled is not None:  # it was trained alone since it was chosen, and is what the search showed
            yield DerivedModel.at(self.model_space, settled, partial(self._derived, settled))
            judged = [each for each in judged if each.sample != settled][: count - 1]
        for each in judged:
            yield DerivedModel.at(self.model_space, each.sample, partial(self._derived_as_judged, judged=each))
