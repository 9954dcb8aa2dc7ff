"""SNAS in Python: a model space of your own, NNI's evaluator, one search, the trained child."""

import torch
from nni.nas.evaluator.pytorch import Classification, DataLoader
from nni.nas.experiment import NasExperiment
from nni.nas.nn.pytorch import LayerChoice, ModelSpace, Repeat
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset

from snas_nni import SNAS


class DigitSpace(ModelSpace):
    """A stem, one to three blocks that each choose their operation, and a classifier."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, padding=1)
        self.blocks = Repeat(self.block, (1, 3), label="depth")
        self.classifier = nn.Linear(16, 10)

    @staticmethod
    def block(index):
        operations = {"conv3": nn.Conv2d(16, 16, 3, padding=1), "conv5": nn.Conv2d(16, 16, 5, padding=2)}
        return nn.Sequential(LayerChoice({**operations, "skip": nn.Identity()}, label=f"block{index}"), nn.ReLU())

    def forward(self, images):
        return self.classifier(self.blocks(self.stem(images)).mean((2, 3)))


digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
data = TensorDataset(images, torch.tensor(digits.target))
train, held_out = torch.utils.data.random_split(data, [1400, 397])
evaluator = Classification(
    learning_rate=1e-2,
    num_classes=10,
    max_epochs=10,
    train_dataloaders=DataLoader(train, batch_size=64, shuffle=True),
    val_dataloaders=DataLoader(held_out, batch_size=397),
    logger=False,
    enable_checkpointing=False,
)
experiment = NasExperiment(DigitSpace(), evaluator, SNAS(logits_learning_rate=0.03))
experiment.run()
print(experiment.export_top_models(formatter="dict")[0])
child = experiment.export_top_models(formatter="instance")[0].eval()  # trained: it has the supernet's weights
held_out_images, labels = (torch.stack(column) for column in zip(*[(x, y) for x, y in held_out], strict=True))
print(f"child's accuracy on held-out digits: {(child(held_out_images).argmax(1) == labels).float().mean():.1%}")
experiment.stop()
