"""A data source of some digits enlarged to 32 x 32 pixels, as an auxiliary head needs them."""

from dataclasses import replace

from torch.nn import functional

from trials.data.digits import load_digits
from trials.data.types import LabelledTensors


def few_large_digits(settings, progress):
    data = load_digits(settings, progress)

    def enlarged(split: LabelledTensors) -> LabelledTensors:
        return LabelledTensors(functional.interpolate(split.inputs[:64], scale_factor=4.0), split.labels[:64])

    return replace(data, train=enlarged(data.train), validation=enlarged(data.validation), test=enlarged(data.test))
