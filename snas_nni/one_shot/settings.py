"""The settings of a search, each with its default, range and meaning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from snas_nni.community.auxiliary_skip import AuxiliarySkip
from snas_nni.community.dropping import Dropping
from snas_nni.errors import SettingError
from snas_nni.one_shot.temperature import Shape, TemperatureSchedule
from snas_nni.ranges import check_ranges, ranged

__all__ = ["SearchSettings"]


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How the search is done; :class:`~snas_nni.strategy.SNAS` says more about each.

    Args:
        initial_temperature: temperature at the start, above 0
        final_temperature: temperature of the last epoch, in (0, initial_temperature]
        temperature_schedule: linear, exponential or cosine
        temperature_interval: lower the temperature every epoch or step
        logits_learning_rate: Adam's, of the logits; null for 35 / steps, at most 0.3; paper 3e-4
        logits_betas: Adam's two decay rates, each in [0, 1)
        logits_weight_decay: Adam's, at least 0
        logits_gradient_clip: largest gradient norm of the logits; null for no limit
        weights_gradient_clip: largest gradient norm of the weights; null for no limit
        warmup_epochs: first epochs that train weights only, less than epochs
        settle_epochs: last epochs, which train one child alone; null for a third, 0 for none
        settle_learning_rate: of the weights at its start, a share of their first one; 0 as scheduled
        candidates: different networks, the most probable ones, compared before that, at least 1
        selection_share: of the validation batches that they are compared on, in (0, 1]
        selection_metric: that decides, such as val_acc or -val_loss; null for an accuracy, else a loss
        recalibration_batches: that measure a compared child's BatchNorm statistics; 0 for the supernet's
        judge_epochs: that each compared child trains alone before it is judged; 0 for none
        bilevel: train the logits on validation batches, as DARTS does
        sampling: relaxed, or single_path: each step runs one drawn child, much faster
        sample_per_layer: draw each layer's sample separately
        samples_per_step: samples averaged in one step, at least 1
        spread_samples: on several devices, share these samples out
        accumulate_batches: batches whose gradients make one step, at least 1
        skip_tolerance: candidates of so little weight / temperature do not run; [0, 1)
        channels_last: memory order of the images; null for that on a CPU
        initial_logits_std: standard deviation of the initial logits, at least 0
        initial_logits: random, or sensitivity: measured, for spaces of a trained network
        sensitivity_batches: training batches for that, at least 1
        auxiliary_skip: share of its input that a choice adds to its output at first (DARTS-); 0: none
        auxiliary_skip_gone_at: share of the steps before settling after which that is 0; (0, 1]
        drop_to: candidates of a choice that are left in the end; null to drop none
        drop_start: how far in the temperature's fall weak ones begin to be dropped; [0, 1]
        drop_end: from where on no more are; in [drop_start, 1], above 0

    Raises:
        SettingError: names the setting, its value and its range.
    """

    key_prefix: ClassVar[str] = ""
    """What stands before a setting's name where the user gave it."""

    initial_temperature: float = 1.0
    final_temperature: float = 0.03
    temperature_schedule: Shape | Callable[[float], float] = "linear"
    temperature_interval: Literal["epoch", "step"] = "epoch"
    logits_learning_rate: float | None = ranged(None, above=0, at_most=1e30)
    logits_betas: tuple[float, float] = ranged((0.5, 0.999), at_least=0, below=1)
    logits_weight_decay: float = ranged(1e-3, at_least=0)
    logits_gradient_clip: float | None = ranged(10.0, above=0)
    weights_gradient_clip: float | None = ranged(5.0, above=0)
    warmup_epochs: int = ranged(0, at_least=0)
    settle_epochs: int | None = ranged(None, at_least=0, whole=True)
    settle_learning_rate: float = ranged(1.0, at_least=0, at_most=1)
    candidates: int = ranged(8, at_least=1, whole=True)
    selection_share: float = ranged(1.0, above=0, at_most=1)
    selection_metric: str | None = None
    recalibration_batches: int = ranged(20, at_least=0, whole=True)
    judge_epochs: int = ranged(0, at_least=0, whole=True)
    bilevel: bool = False
    sampling: Literal["relaxed", "single_path"] = "relaxed"
    sample_per_layer: bool = False
    samples_per_step: int = ranged(1, at_least=1, whole=True)
    spread_samples: bool = False
    accumulate_batches: int = ranged(1, at_least=1, whole=True)
    skip_tolerance: float = ranged(1e-4, at_least=0, below=1)
    channels_last: bool | None = None
    initial_logits_std: float = ranged(0.01, at_least=0)
    initial_logits: Literal["random", "sensitivity"] = "random"
    sensitivity_batches: int = ranged(5, at_least=1, whole=True)
    auxiliary_skip: float = 0.0
    auxiliary_skip_gone_at: float = 0.6
    drop_to: int | None = None
    drop_start: float = 0.2
    drop_end: float = 0.8

    def __post_init__(self) -> None:
        object.__setattr__(self, "logits_betas", tuple(self.logits_betas))  # a list where it comes from YAML
        check_ranges(self, self.key_prefix)
        try:
            _ = self.temperature, self.auxiliary, self.dropping
        except SettingError as error:
            raise SettingError(f"{self.key_prefix}{error}") from None
        if len(self.logits_betas) != 2:
            raise SettingError(f"{self.key_prefix}logits_betas is {self.logits_betas}, but must be two numbers")
        if self.judge_epochs and not self.recalibration_batches:
            raise SettingError(
                f"{self.key_prefix}judge_epochs is {self.judge_epochs}, but recalibration_batches is 0: a child that "
                "was trained alone is judged with BatchNorm statistics of its own."
            )
        if self.bilevel and self.accumulate_batches > 1:
            raise SettingError(
                f"{self.key_prefix}accumulate_batches is {self.accumulate_batches}, but bilevel updates step the "
                "logits after every batch and would throw the accumulated gradients away. Use one of the two."
            )

    @property
    def auxiliary(self) -> AuxiliarySkip:
        """The auxiliary skip as a function of progress."""
        return AuxiliarySkip(self.auxiliary_skip, self.auxiliary_skip_gone_at)

    @property
    def dropping(self) -> Dropping:
        """How many candidates are left, as a function of progress."""
        return Dropping(self.drop_to, self.drop_start, self.drop_end)

    @property
    def temperature(self) -> TemperatureSchedule:
        """The temperature as a function of progress."""
        return TemperatureSchedule(
            self.initial_temperature, self.final_temperature, self.temperature_schedule, self.temperature_interval
        )
