"""What the comparisons can be told; the groups are those of a search, with defaults that suit each comparison."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from snas_nni.errors import SettingError
from snas_nni.ranges import check_ranges, ranged, require_one_of
from trials.settings.search import DataSettings, SearchSettings, SpaceSettings, TrainingSettings

__all__ = ["METHODS", "BenchSettings", "NasBench201Settings", "RetentionSettings"]

METHODS = ("snas", "darts", "gumbel_darts", "random")


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """A comparison.

    Args:
        methods: of snas, darts, gumbel_darts, random, joined by commas
        seeds: whole numbers joined by commas; each is a run of every method
        images: training images that a search sees in an epoch; null for all
        held_out_images: validation images that judge; null for all
        random_candidates: children that random sampling draws; the best held-out one stays
        output: where the results go, a JSON file; a table and a plot are written beside it
        quiet: print nothing but the table
    """

    default_output: ClassVar[str] = "bench.json"

    methods: str = ",".join(METHODS)
    seeds: str = "0,1,2"
    images: int | None = ranged(None, at_least=4)
    held_out_images: int | None = ranged(None, at_least=1)
    random_candidates: int = ranged(1, at_least=1)
    output: str | None = None
    quiet: bool = False

    def __post_init__(self) -> None:
        check_ranges(self)
        self.method_names()
        self.seed_numbers()

    def method_names(self) -> tuple[str, ...]:
        """The methods, in the order given."""
        names = tuple(name.strip() for name in self.methods.split(","))
        for name in names:
            require_one_of("methods", name, METHODS)
        return names

    def seed_numbers(self) -> tuple[int, ...]:
        """The seeds, in the order given."""
        words = [word.strip() for word in self.seeds.split(",")]
        if not all(word.isdecimal() for word in words):
            raise SettingError(f"seeds is {self.seeds!r}, but must be whole numbers joined by commas, such as 0,1,2")
        return tuple(int(word) for word in words)


@dataclass(frozen=True, kw_only=True)
class RetentionSpace(SpaceSettings):
    """The space that all methods search; of SnasCellSpace a small one."""

    SMALL: ClassVar[dict[str, Any]] = {"channels": 8, "cells": 3, "nodes": 2}

    def __post_init__(self) -> None:
        if self.class_path == SpaceSettings.class_path:
            object.__setattr__(self, "init_args", {**self.SMALL, **self.init_args})


@dataclass(frozen=True, kw_only=True)
class RetentionSearch(SearchSettings):
    """The search; NNI's methods take epochs, batch_size, warm-up, clip of the weights and logits_learning_rate."""

    epochs: int = 30
    batch_size: int = 64
    logits_learning_rate: float = 0.05


@dataclass(frozen=True, kw_only=True)
class RetentionTraining(TrainingSettings):
    """How the weights are trained, in the search and after it: SGD with a cosine learning rate."""

    learning_rate: float = 0.05


@dataclass(frozen=True, kw_only=True)
class RetentionSettings(BenchSettings):
    """The comparison.

    Args:
        retrain_epochs: passes over the images after the search, with the child's inherited weights; 0 for none
    """

    default_output: ClassVar[str] = "retention.json"

    space: RetentionSpace = field(default_factory=RetentionSpace)
    data: DataSettings = field(default_factory=DataSettings)
    search: RetentionSearch = field(default_factory=RetentionSearch)
    training: RetentionTraining = field(default_factory=RetentionTraining)
    retrain_epochs: int = ranged(5, at_least=0)


@dataclass(frozen=True, kw_only=True)
class NasBench201Data(DataSettings):
    """The images of CIFAR-10, made smaller; not augmented, so that the weights soon fit what the logits learn from."""

    source: str = "folder"
    image_size: int | None = 16
    crop_padding: int | None = 0
    horizontal_flip: bool | None = False


@dataclass(frozen=True, kw_only=True)
class NasBench201Search(SearchSettings):
    """The search; NNI's methods take epochs, batch_size, warm-up, clip of the weights and logits_learning_rate."""

    epochs: int = 22
    batch_size: int = 64
    logits_learning_rate: float = 0.01
    warmup_epochs: int = 12


@dataclass(frozen=True, kw_only=True)
class NasBench201Training(TrainingSettings):
    """How the weights are trained: SGD with a cosine learning rate."""

    learning_rate: float = 0.05


@dataclass(frozen=True, kw_only=True)
class NasBench201Settings(BenchSettings):
    """The comparison.

    Args:
        table: CSV file, or .csv.gz, with the columns arch and cifar10_test; without it only the searches are run
        channels: of the first stage; the benchmark's networks have 16
        cells_per_stage: the benchmark's networks have 5
        affine: whether the cells' BatchNorm has weight and bias
    """

    default_output: ClassVar[str] = "nasbench201.json"

    data: NasBench201Data = field(default_factory=NasBench201Data)
    search: NasBench201Search = field(default_factory=NasBench201Search)
    training: NasBench201Training = field(default_factory=NasBench201Training)
    images: int | None = 10_000
    held_out_images: int | None = 5_000
    random_candidates: int = 20
    table: str | None = None
    channels: int = ranged(16, at_least=1)
    cells_per_stage: int = ranged(1, at_least=1)
    affine: bool = True
