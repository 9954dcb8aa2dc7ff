"""One case in a process of its own: reads it as JSON from its argument, prints seconds and memory as JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable
from typing import Any

import pytorch_lightning as pl
import torch
from nni.nas.evaluator.pytorch import Classification, DataLoader
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.nn.pytorch import LayerChoice
from nni.nas.space import RawFormatModelSpace
from nni.nas.strategy import DARTS, GumbelDARTS
from torch import nn
from torch.utils.data import TensorDataset

from benchmarks.speed.spaces import make_space
from benchmarks.speed.timing import MemoryPeak
from snas_nni import SNAS

__all__ = ["MARK", "DeviceTimer", "measure"]

MARK = "result: "
"""Stands before the result on its line of the output."""


class DeviceTimer(pl.Callback):
    """Seconds of each batch, with all that the device had to do for it; and the device's memory.

    Attributes:
        seconds: from the start of a batch to the moment when the device is done.
        mebibytes: the largest memory above that before the first batch.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.mebibytes = 0.0
        self._memory = MemoryPeak()

    def on_train_start(self, trainer: Any, module: Any) -> None:  # noqa: D102
        if module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()
        else:
            self._memory.start()

    def on_train_batch_start(self, trainer: Any, module: Any, *_: Any) -> None:  # noqa: D102
        _wait(module.device)
        self._start = time.perf_counter()

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:  # noqa: D102
        _wait(module.device)
        self.seconds.append(time.perf_counter() - self._start)

    def on_train_end(self, trainer: Any, module: Any) -> None:  # noqa: D102
        if module.device.type == "cuda":
            self.mebibytes = (torch.cuda.max_memory_allocated() - self._before) / 2**20
        else:
            self.mebibytes = self._memory.above_start()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Train for some steps.

    Args:
        job: a :class:`~benchmarks.gpu.cases.Case`, and ``device`` (cuda or cpu), ``batch`` images of a device,
            ``batches``, ``size`` of the images and the ``arguments`` of the space.
    """
    timer = DeviceTimer()
    torch.manual_seed(0)
    space = make_space(job["space"], **job["arguments"])
    model = RawFormatModelSpace(space, _evaluator(job, timer))
    strategy = _strategy(job)
    strategy.initialize(model, SequentialExecutionEngine())
    if job["strategy"] == "child":
        _, child = strategy.derive()
        network = child.to(memory_format=torch.channels_last) if job["channels_last"] else child
        if job["compiled"]:
            network.compile()
        _evaluator(job, timer).evaluate(network)
    else:
        if job["compiled"]:
            for candidate in _candidates(strategy.supernet):
                candidate.compile()
        strategy.run()
    return {"seconds": timer.seconds, "mebibytes": timer.mebibytes}


def _strategy(job: dict[str, Any]) -> Any:
    if job["strategy"] == "gumbel":
        return GumbelDARTS(temperature={"init": 1.0, "min": 0.03})
    if job["strategy"] == "darts":
        return DARTS()
    at = job["temperature"]
    return SNAS(seed=2, initial_temperature=at, final_temperature=at, channels_last=job["channels_last"])


def _candidates(supernet: nn.Module) -> Iterable[nn.Module]:
    """Candidates with layers to compile, each once."""
    found = {
        id(candidate): candidate
        for choice in supernet.modules()
        if isinstance(choice, LayerChoice)
        for candidate in (choice[name] for name in choice.names)
        if any(True for _ in candidate.parameters())
    }
    return found.values()


def _evaluator(job: dict[str, Any], timer: DeviceTimer) -> Classification:
    generator = torch.Generator().manual_seed(1)
    count = job["batches"] * job["batch"] * job["devices"]
    images = torch.randn(count, 3, job["size"], job["size"], generator=generator)
    data = TensorDataset(images, torch.randint(10, (count,), generator=generator))
    pinned = job["device"] == "cuda"
    loaders = [DataLoader(data, batch_size=job["batch"], pin_memory=pinned) for _ in ("train", "held-out")]
    return Classification(
        learning_rate=1e-3,
        num_classes=10,
        train_dataloaders=loaders[0],
        val_dataloaders=loaders[1],
        max_epochs=1,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        callbacks=[timer],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="gpu" if job["device"] == "cuda" else "cpu",
        devices=job["devices"],
        # A candidate that does not run on a device has no gradient there.
        **({"strategy": "ddp_find_unused_parameters_true"} if job["devices"] > 1 else {}),
        precision=job["precision"],
    )


if __name__ == "__main__":
    found = measure(json.loads(sys.argv[1]))
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(MARK + json.dumps(found), flush=True)
