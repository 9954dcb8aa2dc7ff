"""``snas-nni quantize``: an 8-bit ONNX file beside the one of a result folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from snas_nni.errors import SettingError
from snas_nni.ranges import check_ranges, ranged
from trials.settings.help import settings_help
from trials.settings.reader import architecture_first, made_of, read_given
from trials.settings.search import DataSettings
from trials.settings.user_code import add_current_folder_to_path
from trials.verbs.shared.options import with_plain_options

__all__ = ["QuantizeSettings", "run"]

_INTRODUCTION = """\
usage: snas-nni quantize FOLDER|architecture.json [--SETTING VALUE]...

Writes model.int8.onnx beside model.onnx, which stays, and compares their sizes and what they reach on the test split.
"""


@dataclass(frozen=True, kw_only=True)
class QuantizeSettings:
    """One quantisation.

    Args:
        architecture: result folder, or the architecture.json in it
        space: dotted path of your own space's class, which may then be imported
        data: the images; those of the training unless given
        images: training images that calibrate the ranges of activations, at least 1
        seed: of their choice, at least 0
        quiet: print nothing but errors
    """

    architecture: str = ""
    space: str | None = None
    data: DataSettings = field(default_factory=DataSettings)
    images: int = ranged(512, at_least=1)
    seed: int = ranged(0, at_least=0)
    quiet: bool = False

    def __post_init__(self) -> None:
        check_ranges(self)


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code.

    Raises:
        SnasError: a user's mistake, to be shown without a traceback.
    """
    if any(word in ("-h", "--help") for word in arguments):
        print(_INTRODUCTION + settings_help(QuantizeSettings))
        return 0
    given = read_given(architecture_first(with_plain_options(arguments)), None, QuantizeSettings)
    settings = made_of(given, QuantizeSettings)
    add_current_folder_to_path()

    from trials.data.loaders import evaluation_loader
    from trials.progress import Progress
    from trials.runs.deployment import int8_loss
    from trials.runs.quantization import quantize
    from trials.runs.trained_run import load_trained
    from trials.training.evaluation import onnx_predictor

    progress = Progress(settings.quiet)
    trained = load_trained(settings.architecture, settings.space, given.get("data", {}), progress)
    if not trained.onnx.is_file():
        raise SettingError(f"architecture: there is no {trained.onnx}; write it with snas-nni export")
    small = trained.onnx.with_name("model.int8.onnx")
    quantize(trained.onnx, small, trained.data, settings.images, settings.seed)
    for path in (trained.onnx, small):
        found = trained.data.task.evaluate(onnx_predictor(path), evaluation_loader(trained.data, trained.data.test))
        name = "top-1" if found.shares else found.metric.title
        progress.say(f"{path.name:<16}  {path.stat().st_size:>11,} bytes  {name} {found}")
    loss, metric = int8_loss(trained.onnx, small, trained.data), trained.data.task.metric
    words = f"{100 * loss:.2f} points" if metric.percent else f"{loss:.4g}"
    progress.say(f"8 bits lose {words} of {metric.title} on the validation split")
    return 0
