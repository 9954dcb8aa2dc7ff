"""The two networks that are made smaller: a ResNet-20 kind and a MobileNetV2 kind, narrow, for images of 16 pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from torch import Tensor, nn
from torchvision.models.mobilenetv2 import InvertedResidual

__all__ = ["MAKERS", "MobileNet", "ResNet", "mobilenet", "resnet"]

CLASSES: Final = 10
RESNET_WIDTH: Final = 8
MOBILENET_WIDTH: Final = 12


class Block(nn.Module):
    """Two convolutions of 3 x 3 beside a shortcut (He et al., 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, images: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` to ``(N, outputs, H / stride, W / stride)``."""
        inner = self.bn2(self.conv2(self.bn1(self.conv1(images)).relu()))
        return (inner + self.shortcut(images)).relu()


class ResNet(nn.Module):
    """Three stages of blocks, each half as large and twice as wide as the one before.

    Args:
        width: channels of the first stage; the published ResNet-20 has 16.
        blocks: of each stage.
    """

    def __init__(self, width: int = RESNET_WIDTH, blocks: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.stages = nn.Sequential()
        inputs = width
        for stage in range(3):
            outputs = width * 2**stage
            for index in range(blocks):
                self.stages.append(Block(inputs, outputs, 2 if stage and not index else 1))
                inputs = outputs
        self.head = nn.Linear(inputs, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape ``(N, 10)``."""
        return self.head(self.stages(self.bn(self.conv(images)).relu()).mean((2, 3)))


class MobileNet(nn.Module):
    """torchvision's inverted residual blocks in a network for small images.

    Args:
        width: channels of the first blocks; others have 1.5 and 3 times as many, the last convolution 8 times.
    """

    def __init__(self, width: int = MOBILENET_WIDTH) -> None:
        super().__init__()
        stages = ((width, 2, 1), (width * 3 // 2, 2, 2), (width * 3, 2, 2))  # channels, blocks, stride
        layers: list[nn.Module] = [
            nn.Conv2d(3, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU6(),
        ]
        inputs = width
        for outputs, blocks, stride in stages:
            for index in range(blocks):
                layers.append(InvertedResidual(inputs, outputs, 1 if index else stride, 4))
                inputs = outputs
        layers += [nn.Conv2d(inputs, 8 * width, 1, bias=False), nn.BatchNorm2d(8 * width), nn.ReLU6()]
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(8 * width, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape ``(N, 10)``."""
        return self.head(self.features(images).mean((2, 3)))


def resnet(width: int = RESNET_WIDTH) -> nn.Module:
    """Return a ResNet-20 with random weights."""
    return ResNet(width)


def mobilenet(width: int = MOBILENET_WIDTH) -> nn.Module:
    """Return a MobileNetV2 of six blocks with random weights."""
    return MobileNet(width)


MAKERS: Final[Mapping[str, Callable[..., nn.Module]]] = {"resnet": resnet, "mobilenet": mobilenet}
