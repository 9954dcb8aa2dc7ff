"""Searches at random: every setting that changes what a step does, and where the search is cut."""

from __future__ import annotations

import random
import signal
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Cut", "Drawn", "draw"]

ROOT = Path(__file__).parents[2]
_SNAS = "--space.init_args.channels=2"
SPACES: dict[str, tuple[str, ...]] = {
    "one cell": (_SNAS, "--space.init_args.cells=1", "--space.init_args.nodes=1"),
    "two cells": (_SNAS, "--space.init_args.cells=2", "--space.init_args.nodes=2"),
    "NAS-Bench-201": (
        "--space.class_path=search_spaces.NasBench201Space",
        _SNAS,
        "--space.init_args.cells_per_stage=1",
    ),
    "from a network": (
        "--space.class_path=search_spaces.FromModel",
        "--space.init_args.model=benchmarks.faults.drawn_space.network",
    ),
    "sliced layers": ("--space.class_path=benchmarks.faults.drawn_space.DrawnSpace",),
    "images": ("--space.class_path=image_space.ImageSpace", "--space.init_args.channels=4"),
    "sequences": ("--space.class_path=sequence_space.SequenceSpace", "--space.init_args.width=8"),
    "table": ("--space.class_path=tabular_space.TabularSpace",),
}
DATA: dict[str, tuple[str, ...]] = {
    "digits": (),
    "own": ("--data.source=benchmarks.faults.drawn_space.stripes",),
    "photos": ("--data.source=folder", "--data.path={photos}", "--data.cache={cache}"),
    "sequences": ("--data.source=sequence_space.recall", "--data.options.count=480"),
    "table": ("--data.source=tabular_space.breast_cancer",),
}
OWN_DATA = {"sequences": "sequences", "table": "table"}
FOLDERS = {name: ROOT / "examples" / folder for name, folder in
           (("images", "images"), ("sequences", "sequences"), ("table", "tabular"))}  # fmt: skip


@dataclass(frozen=True)
class Cut:
    """How a search is ended before its end.

    Attributes:
        share: of its steps that are done by then, in (0, 1].
        number: of the signal.
        saved: whether a checkpoint that is due at that step is written before the signal comes.
    """

    share: float
    number: int
    saved: bool


@dataclass(frozen=True)
class Drawn:
    """A search that was drawn.

    Attributes:
        words: of its command line, without the output folder; ``{photos}`` and ``{cache}`` stand for folders.
        folder: where its own code lies.
        cuts: one after the other, in one search.
    """

    words: tuple[str, ...]
    folder: Path
    cuts: tuple[Cut, ...]


def draw(number: int, seed: int = 20190430) -> Drawn:
    """Draw a search, the same one for the same numbers.

    Args:
        number: of the search, at least 0; the spaces come in turn, so that a few searches have several of them.
        seed: of all of them.
    """
    chance = random.Random(f"{seed}/{number}")
    space = list(SPACES)[number % len(SPACES)]
    data = OWN_DATA.get(space) or chance.choice(["digits", "own", "photos"])
    epochs = chance.choice([2, 3, 4])
    words = [*SPACES[space], *DATA[data], f"--search.epochs={epochs}", f"--seed={chance.randrange(1000)}"]
    if space == "from a network" and data != "digits":
        words.append("--space.init_args.arguments={in_channels: 3, classes: 3}")
    words += [f"--search.batch_size={16 if data == 'photos' else chance.choice([48, 64])}", "--accelerator=cpu"]
    words += _data(data, chance) + _search(epochs, chance) + _resources(space, chance)
    words += _sometimes(chance, 0.2, "--training.label_smoothing=0.1") + _sometimes(chance, 0.2, "--tuning.epochs=1")
    if space in ("sliced layers", "table", "from a network") and "--search.sampling=single_path" in words:
        # Layers that share a width cannot each run another one.
        words = [word for word in words if word != "--search.sample_per_layer=true"]
    words += _sometimes(chance, 0.7, f"--checkpoint.every_steps={chance.choice([1, 2, 3])}")
    words += _sometimes(chance, 0.3, f"--checkpoint.keep={chance.choice([1, 3])}")
    words += _sometimes(chance, 0.3, f"--precision={chance.choice(['bf16-mixed', '64-true', 'bf16-true'])}")
    words += _more(space, random.Random(f"{seed}/{number}/more"))
    kinds = [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    cuts = [
        Cut(chance.uniform(0.05, 1.0), int(chance.choice(kinds)), chance.random() < 0.5)
        for _ in range(chance.choice([1, 1, 2, 3]))
    ]
    return Drawn(tuple(words), FOLDERS.get(space, ROOT), tuple(sorted(cuts, key=lambda cut: cut.share)))


def _more(space: str, chance: random.Random) -> list[str]:
    words = _sometimes(chance, 0.1, "--resources.max_live_peak=1000000")
    if space == "from a network":
        words += _sometimes(chance, 0.6, "--distillation.teacher=original")
    return words


def _sometimes(chance: random.Random, share: float, *words: str) -> list[str]:
    return list(words) if chance.random() < share else []


def _data(data: str, chance: random.Random) -> list[str]:
    words = _sometimes(chance, 0.3, "--data.workers=2")
    if data in ("digits", "own", "photos"):
        words += _sometimes(chance, 0.5, f"--data.augmentation={chance.choice(['shift', 'mirror'])}")
        words += _sometimes(chance, 0.3, "--data.cutout=2")
    return words


def _search(epochs: int, chance: random.Random) -> list[str]:
    """Settings of the method; a rate of the logits that follows from the length of the search more often than not."""
    words = _sometimes(chance, 0.3, "--search.logits_learning_rate=0.05")
    words += _sometimes(chance, 0.5, "--search.temperature_interval=step")
    words += _sometimes(chance, 0.3, f"--search.temperature_schedule={chance.choice(['exponential', 'cosine'])}")
    warmup = chance.choice([0, 0, 1])
    words += _sometimes(chance, 1.0, f"--search.warmup_epochs={warmup}")
    if epochs - warmup > 1:
        words += _sometimes(chance, 0.5, f"--search.settle_epochs={chance.choice([0, 1])}")
    words += _sometimes(chance, 0.5, f"--search.candidates={chance.choice([1, 3])}")
    words += _sometimes(chance, 0.3, "--search.selection_share=0.5")
    words += _sometimes(chance, 0.3, "--search.selection_metric=-val_loss")
    words += _sometimes(chance, 0.4, f"--search.recalibration_batches={chance.choice([0, 2])}")
    words += _sometimes(chance, 0.3, "--search.sampling=single_path")
    words += _sometimes(chance, 0.2, "--search.sample_per_layer=true")
    words += _sometimes(chance, 0.3, f"--search.samples_per_step={chance.choice([2, 3])}")
    words += _sometimes(chance, 0.2, "--search.skip_tolerance=0")
    words += _sometimes(chance, 0.2, "--search.channels_last=false")
    words += _sometimes(chance, 0.2, "--search.logits_gradient_clip=0.1")
    kind = chance.choice(["one level", "one level", "accumulate", "bilevel"])
    if kind == "accumulate":
        words.append(f"--search.accumulate_batches={chance.choice([2, 3])}")
    elif kind == "bilevel":
        words.append("--search.bilevel=true")
    return words


def _resources(space: str, chance: random.Random) -> list[str]:
    words = _sometimes(chance, 0.4, f"--resources.penalty={chance.choice(['mild', 'moderate'])}")
    kind = chance.choice(["none", "budget", "budget", "sweep", "latency"])
    if kind == "budget":
        share = 90 if space == "sequences" else 70
        words.append(f"--resources.max_{chance.choice(['params', 'macs', 'memory_access'])}={share}%")
        words += _sometimes(chance, 0.3, "--resources.target=true")
        words += _sometimes(chance, 0.3, "--resources.exclude=false")
        words += _sometimes(chance, 0.5, f"--resources.pull={chance.choice(['expected', 'sampled'])}")
    elif kind == "sweep":
        words.append(f"--resources.sweep={chance.choice(['params', 'macs'])}")
    elif kind == "latency":
        share = 97 if space == "from a network" else 80  # widths that cost little else, on a busy machine
        words += [f"--resources.max_latency_ms={share}%", "--latency.clock=pytorch"]
    return words
