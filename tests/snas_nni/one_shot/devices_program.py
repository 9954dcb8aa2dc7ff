"""A search that test_distributed.py starts as one process, or as two that train together; its argument is JSON."""

import json
import os
import sys
import warnings
from pathlib import Path

import torch

warnings.filterwarnings("ignore")

import nni  # noqa: E402
import nni.nas.strategy  # noqa: E402
from nni.nas.evaluator.pytorch import DataLoader, Lightning, LightningModule, Trainer  # noqa: E402
from nni.nas.execution import SequentialExecutionEngine  # noqa: E402
from nni.nas.nn.pytorch import LayerChoice, ModelSpace, Repeat  # noqa: E402
from nni.nas.space import RawFormatModelSpace  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import Sampler, TensorDataset  # noqa: E402

from snas_nni import SNAS, SnasError  # noqa: E402
from snas_nni.one_shot import distributed as devices  # noqa: E402


def candidates():
    return {"wide": nn.Linear(8, 8), "relu": nn.Sequential(nn.Linear(8, 8), nn.ReLU()), "skip": nn.Identity()}


class Space(ModelSpace):
    """Candidates with parameters, so that a skipped one has gradients on no device; a shared label; a depth."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 8)
        for name in ("one", "two", "three"):
            candidates = {
                "wide": nn.Linear(8, 8),
                "relu": nn.Sequential(nn.Linear(8, 8), nn.ReLU()),
                "skip": nn.Identity(),
            }
            setattr(self, name, LayerChoice(candidates, label="shared" if name == "three" else name))
        self.four = LayerChoice(
            {"wide": nn.Linear(8, 8), "relu": nn.Linear(8, 8), "skip": nn.Identity()}, label="shared"
        )
        self.deep = Repeat(lambda index: nn.Sequential(nn.Linear(8, 8), nn.Tanh()), (1, 3), label="depth")
        self.last = nn.Linear(8, 3)

    def forward(self, x):
        return self.last(self.deep(self.four(self.three(self.two(self.one(torch.relu(self.first(x))))))))


@nni.trace
class Module(LightningModule):
    def __init__(self, at_step=None):
        super().__init__()
        self.at_step = at_step
        self.drawn = []
        self.strategy = []

    def forward(self, x):
        return self.model(x)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = nn.functional.cross_entropy(self(x), y)
        sample = self.strategy[0].distribution.current.sample
        self.drawn.append({str(label): rows.detach().clone() for label, rows in sample.log_rows.items()})
        if self.at_step == batch_idx and int(os.environ.get("RANK", "0")) == 1:
            return loss * float("nan")
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", nn.functional.cross_entropy(self(x), y), batch_size=len(y))


class Share(Sampler):
    """Example i of each global batch goes to process i modulo their number."""

    def __init__(self, count, rank, devices):
        self.indices = list(range(rank, count, devices))

    def __iter__(self):
        return iter(self.indices)

    def __len__(self):
        return len(self.indices)


def main(options):
    rank, count = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    torch.set_num_threads(1)
    torch.manual_seed(1)
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(64, 6, generator=generator)
    data = TensorDataset(inputs, (inputs @ torch.randn(6, 3, generator=generator)).argmax(-1))
    trainer = Trainer(
        max_epochs=options.get("epochs", 3),
        accelerator="cpu",
        devices=count,
        strategy=options.get("trainer_strategy", "ddp" if count > 1 else "auto"),
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    shares = 1 if options.get("whole_batches") else count
    module = Module(options.get("nan_at_step"))
    torch.manual_seed(options.get("weights_seed", 3) + options.get("other_seed_of_rank", 0) * rank)
    strategy = SNAS(seed=5, logits_learning_rate=0.1, **options["strategy"])
    module.strategy.append(strategy)
    space = Space()
    evaluator = Lightning(
        module,
        trainer,
        train_dataloaders=DataLoader(data, batch_size=16 // shares, sampler=Share(64, rank % shares, shares)),
        val_dataloaders=DataLoader(data, batch_size=32),
    )
    strategy(RawFormatModelSpace(space, evaluator), SequentialExecutionEngine())
    logits = strategy.distribution
    child_sample, child = strategy.derive()
    torch.save(
        {
            "logits": {
                str(label): strategy.distribution.rows_of(label).detach() for label in strategy.distribution.choices
            },
            "weights": dict(strategy.supernet.state_dict()),
            "child": child.state_dict(),
            "sample": {str(label): value for label, value in child_sample.items()},
            "generator": logits.generator.get_state(),
            "metrics": {name: float(value) for name, value in trainer.callback_metrics.items()},
            "drawn": module.drawn,
        },
        Path(options["output"]) / f"rank{rank}.pt",
    )


def check_gradients(options):
    """Gradients that one process has, that none has, and that do not fit into one message."""
    devices._BUCKET = 4
    rank = torch.distributed.get_rank()
    parameters = [nn.Parameter(torch.zeros(3)) for _ in range(4)] + [nn.Parameter(torch.zeros(2, 2).double())]
    parameters[3].requires_grad = False
    parameters[0].grad = torch.full((3,), 1.0 + rank)
    if rank == 1:
        parameters[1].grad = torch.full((3,), 5.0)
    parameters[4].grad = torch.full((2, 2), 2.0 * rank).double()
    devices.average_gradients(parameters)
    norm = nn.BatchNorm1d(2)
    norm.running_mean += rank
    devices.average_buffers(norm)
    found = {
        "gradients": [each.grad for each in parameters],
        "nan": devices.average(float("nan") if rank else 1.0, torch.device("cpu")),
        "mean": devices.average(rank, torch.device("cpu")),
        "means": devices.all_reduce_mean(
            {"a/x": float(rank), **({"a/y": 7.0} if rank else {}), "b": float(rank)}, "a/"
        ),
        "running_mean": norm.running_mean,
        "first": devices.broadcast_from_rank_zero({"measured": 3.0 + rank}),
        "largest": devices.all_reduce_max(15 * rank, torch.device("cpu")),
    }
    torch.save(found, Path(options["output"]) / f"rank{rank}.pt")


if __name__ == "__main__":
    for case in json.loads(sys.argv[1]):
        Path(case["output"]).mkdir(parents=True, exist_ok=True)
        try:
            check_gradients(case) if case.get("gradients") else main(case)
        except SnasError as error:
            torch.save({"error": str(error)}, Path(case["output"]) / f"rank{os.environ.get('RANK', '0')}.pt")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()  # threads of gloo that outlive the interpreter abort the process
