"""``snas-nni evaluate``: a result folder on the test split, in PyTorch and in ONNX Runtime."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trials.settings.help import settings_help
from trials.settings.reader import architecture_first, made_of, read_given
from trials.settings.search import DataSettings
from trials.settings.user_code import add_current_folder_to_path
from trials.verbs.shared.options import with_plain_options

__all__ = ["EvaluateSettings", "run"]

_INTRODUCTION = """\
usage: snas-nni evaluate FOLDER|architecture.json [--SETTING VALUE]...

Measures the network of a search or a retraining on the test split, and its model.onnx and model.int8.onnx if they
are there. The data is that of its training unless you say otherwise.

  snas-nni evaluate runs/photos
  snas-nni evaluate runs/photos/last --data.path other_photos
"""


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings:
    """One evaluation.

    Args:
        architecture: result folder, or the architecture.json in it
        space: dotted path of your own space's class, which may then be imported
        data: the images
        accelerator: of PyTorch: cpu, cuda, mps, ...
        output: where the result goes, a JSON file; null for none
        quiet: print nothing but errors
    """

    architecture: str = ""
    space: str | None = None
    data: DataSettings = field(default_factory=DataSettings)
    accelerator: str = "cpu"
    output: str | None = None
    quiet: bool = False


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code.

    Raises:
        SnasError: a user's mistake, to be shown without a traceback.
    """
    if any(word in ("-h", "--help") for word in arguments):
        print(_INTRODUCTION + settings_help(EvaluateSettings))
        return 0
    given = read_given(architecture_first(with_plain_options(arguments)), None, EvaluateSettings)
    settings = made_of(given, EvaluateSettings)
    add_current_folder_to_path()

    from trials.data.loaders import evaluation_loader
    from trials.progress import Progress
    from trials.runs.trained_run import load_trained
    from trials.state.failures import write_result
    from trials.training.evaluation import find_device, onnx_predictor, torch_predictor

    device = find_device(settings.accelerator)
    progress = Progress(settings.quiet)
    trained = load_trained(settings.architecture, settings.space, given.get("data", {}), progress)
    predictors: dict[str, Any] = {"PyTorch": torch_predictor(trained.child, device)}
    for name, file in (("ONNX Runtime", "model.onnx"), ("8 bits", "model.int8.onnx")):
        if (trained.folder / file).is_file():
            predictors[name] = onnx_predictor(trained.folder / file)
    document: dict[str, Any] = {}
    for name, predict in predictors.items():
        found = trained.data.task.evaluate(predict, evaluation_loader(trained.data, trained.data.test))
        document[name] = found.as_document()
        loss = "" if found.loss is None else f", loss {found.loss:.4f}"
        progress.say(f"{name:<12}  {'top-1' if found.shares else found.metric.title} {found}{loss}")
        if found.top5 is not None:
            progress.say(f"{name:<12}  top-5 {found.top5}")
    if settings.output is not None:
        write_result(Path(settings.output).expanduser(), (json.dumps(document, indent=2) + "\n").encode())
    return 0
