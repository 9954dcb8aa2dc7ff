"""The trained networks that are to become smaller, one for each kind and seed, kept as safetensors files."""

from __future__ import annotations

import os
from pathlib import Path

import pytorch_lightning as lightning
from safetensors.torch import load_file, save_file
from torch import nn

from benchmarks.shrink.networks import MAKERS
from snas_nni.cpu_kernels.fast_layers import use_fast_kernels_in_training
from trials.data.loaders import training_loader
from trials.data.types import TaskData
from trials.training.task_training import TaskTraining
from trials.training.trainer import SILENT

__all__ = ["BASE_EPOCHS", "base_network", "train_from_scratch", "weights_of"]

BASE_EPOCHS = 20
BATCH_SIZE = 128
LEARNING_RATE = 0.1


def train_from_scratch(network: nn.Module, data: TaskData, epochs: int, seed: int) -> nn.Module:
    """Train random weights, in place: SGD with momentum and a cosine from 0.1 to 0.001; return the network."""
    module = TaskTraining(data.task, learning_rate=LEARNING_RATE, weight_decay=5e-4)
    module.set_model(network.train())
    undo = use_fast_kernels_in_training(network, network, "cpu")
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        devices=1,
        gradient_clip_val=5.0,
        logger=False,
        enable_checkpointing=False,
        limit_val_batches=0,
        **SILENT,
    )
    trainer.fit(module, training_loader(data, BATCH_SIZE, seed))
    undo()
    return network.eval()


def weights_of(kind: str, seed: int, folder: Path, data: TaskData) -> Path:
    """Return the file of a trained network's weights; it is trained if there is no such file yet."""
    path = folder / f"{kind}-{seed}.safetensors"
    if not path.exists():
        lightning.seed_everything(seed, workers=True, verbose=False)
        network = train_from_scratch(MAKERS[kind](), data, BASE_EPOCHS, seed)
        folder.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(".part")
        save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, half)
        os.replace(half, path)  # whole, or not there
    return path


def base_network(kind: str, seed: int, folder: Path, data: TaskData) -> nn.Module:
    """Return the trained network, in evaluation mode."""
    path = weights_of(kind, seed, folder, data)
    network = MAKERS[kind]()
    network.load_state_dict(load_file(path))
    return network.eval()
