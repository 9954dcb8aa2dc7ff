"""Small networks of every kind that a space is made from, without randomness in evaluation and with lively weights."""

import torch
import torchvision
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """ResNet's basic block."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = None
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        y += x if self.shortcut is None else self.shortcut(x)
        return functional.relu(y)


class Residual(nn.Module):
    """A ResNet of five blocks, of which two widen."""

    def __init__(self, width=8, classes=3):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.blocks = nn.ModuleList(
            [Block(width, width), Block(width, 2 * width, 2), Block(2 * width, 2 * width), Block(2 * width, 2 * width)]
        )
        self.head = nn.Linear(2 * width, classes)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))


class DenseLayer(nn.Module):
    def __init__(self, inputs, growth):
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, growth, 3, padding=1, bias=False)

    def forward(self, features):
        joined = torch.cat(features, 1)
        return self.conv(functional.relu(self.norm(joined)))


class Dense(nn.Module):
    """A DenseNet: every layer reads the concatenation of all before."""

    def __init__(self, width=12, growth=8, layers=4):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.layers = nn.ModuleList(DenseLayer(width + k * growth, growth) for k in range(layers))
        self.head = nn.Linear((width + layers * growth) * 4, 3)

    def forward(self, x):
        features = [self.stem(x)]
        for layer in self.layers:
            features.append(layer(features))
        x = functional.adaptive_avg_pool2d(torch.cat(features, 1), 2)
        return self.head(torch.flatten(x, 1))


class SqueezeExcite(nn.Module):
    def __init__(self, channels, squeezed):
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.expand(functional.silu(self.reduce(x.mean((2, 3), keepdim=True)))))


class Inverted(nn.Module):
    """MobileNetV2's block, with squeeze-and-excite if asked for."""

    def __init__(self, inputs, outputs, expanded, kernel=5, squeezed=0):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, expanded, 1, bias=False),
            nn.BatchNorm2d(expanded),
            nn.ReLU6(inplace=True),
            nn.Conv2d(expanded, expanded, kernel, padding=kernel // 2, groups=expanded, bias=False),
            nn.BatchNorm2d(expanded),
            nn.ReLU6(inplace=True),
            SqueezeExcite(expanded, squeezed) if squeezed else nn.Identity(),
            nn.Conv2d(expanded, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.same = inputs == outputs

    def forward(self, x):
        return x + self.layers(x) if self.same else self.layers(x)


class Mobile(nn.Module):
    """Depthwise-separable blocks with linear bottlenecks."""

    def __init__(self, squeezed=0):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.blocks = nn.Sequential(
            Inverted(8, 12, 16, 3, squeezed), Inverted(12, 12, 24, 5, squeezed), Inverted(12, 12, 24, 3, squeezed)
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(12, 3))

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)))


def gated():
    """Mobile with squeeze-and-excite."""
    return Mobile(squeezed=8)


class Grouped(nn.Module):
    """A ResNeXt bottleneck, and a depthwise convolution that makes two channels of each."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.bottleneck = nn.Sequential(
            nn.Conv2d(16, 24, 1), nn.BatchNorm2d(24), nn.ReLU(),
            nn.Conv2d(24, 24, 3, padding=1, groups=6), nn.BatchNorm2d(24), nn.ReLU(),
            nn.Conv2d(24, 16, 1), nn.BatchNorm2d(16),
        )  # fmt: skip
        self.multiply = nn.Conv2d(16, 32, 3, padding=1, groups=16)
        self.head = nn.Linear(32, 3)

    def forward(self, x):
        x = self.stem(x)
        x = self.multiply(torch.relu(x + self.bottleneck(x)))
        return self.head(functional.relu(x).amax((2, 3)))


class Perceptron(nn.Module):
    """Three linear layers, the first of them on a flattened image; a residual one in between."""

    def __init__(self, hidden=16):
        super().__init__()
        self.first = nn.Linear(3 * 64, hidden)
        self.middle = ResidualLinear(hidden)
        self.last = nn.Linear(hidden, 3)

    def forward(self, x):
        return self.last(self.middle(torch.tanh(self.first(x.flatten(1)))))


class ResidualLinear(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.up, self.down, self.norm = nn.Linear(width, 2 * width), nn.Linear(2 * width, width), nn.LayerNorm(width)

    def forward(self, x):
        return x + self.down(functional.gelu(self.up(self.norm(x))))


class Attention(nn.Module):
    """A vision transformer of one block: its width meets attention and a parameter, its hidden layer does not."""

    def __init__(self, width=16):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.position = nn.Parameter(torch.randn(1, 4, width) / 4)
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.mlp = ResidualLinear(width)
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.position
        y = self.norm(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return self.head(self.mlp(x).mean(1))


class Series(nn.Module):
    """The pixels as a series: residual blocks of depthwise and pointwise convolutions over one axis."""

    def __init__(self, width=8):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(3, width, 5, stride=2, padding=2, bias=False), nn.BatchNorm1d(width))
        self.blocks = nn.ModuleList(SeriesBlock(width) for _ in range(2))
        self.head = nn.Linear(width * 4, 3)

    def forward(self, x):
        x = functional.relu(self.stem(x.flatten(2)))
        for block in self.blocks:
            x = block(x)
        return self.head(functional.adaptive_avg_pool1d(x, 4).flatten(1))


class SeriesBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.widen = nn.Conv1d(width, 2 * width, 1)
        self.depthwise = nn.Conv1d(2 * width, 2 * width, 5, padding=2, groups=2 * width, bias=False)
        self.norm = nn.BatchNorm1d(2 * width)
        self.narrow = nn.Conv1d(2 * width, width, 1)

    def forward(self, x):
        return x + self.narrow(functional.relu(self.norm(self.depthwise(self.widen(x)))))


class Table(nn.Module):
    """The pixels as a row of a table: hidden layers that are normalized over the batch."""

    def __init__(self, hidden=16):
        super().__init__()
        self.first, self.norm = nn.Linear(3 * 64, hidden, bias=False), nn.BatchNorm1d(hidden)
        self.second, self.norm2 = nn.Linear(hidden, hidden), nn.BatchNorm1d(hidden, affine=False)
        self.last = nn.Linear(hidden, 3)

    def forward(self, x):
        x = functional.relu(self.norm(self.first(x.flatten(1))))
        return self.last(functional.relu(self.norm2(self.second(x))))


NETWORKS = {
    "residual": Residual,
    "dense": Dense,
    "mobile": Mobile,
    "gated": gated,
    "grouped": Grouped,
    "perceptron": Perceptron,
    "attention": Attention,
    "series": Series,
    "table": Table,
}


def from_torchvision(name, **arguments):
    """One of torchvision's networks; what its constructor fills with one number, such as zeros, is random too."""
    torch.manual_seed(0)
    return without_constants(getattr(torchvision.models, name)(weights=None, num_classes=10, **arguments))


def from_timm(name, **arguments):
    """One of timm's networks, which is no dependency, likewise."""
    import timm

    torch.manual_seed(0)
    return without_constants(timm.create_model(name, pretrained=False, num_classes=10, **arguments))


def without_constants(network):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.is_floating_point() and tensor.numel() > 1 and not tensor.is_meta and not tensor.std():
                tensor.add_(torch.rand(tensor.shape, generator=generator, device="cpu"), alpha=0.2)
    return network


def lively(make, seed=0):
    """The network with weights and statistics that no symmetry hides, in evaluation mode."""
    torch.manual_seed(seed)
    network = make()
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0.0, 0.2)
            nn.init.normal_(module.running_mean, 0.0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()
