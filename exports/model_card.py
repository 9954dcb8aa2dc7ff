"""A model card of what a run found: what it is, what it reaches and costs, and how it is used."""

from __future__ import annotations

from pathlib import Path

from exports.errors import ArchitectureFileError
from exports.report.evidence.answers import interval_of, with_interval
from exports.report.findings import findings
from exports.report.numbers import as_mapping, compact, percent
from exports.report.run import Run, read_run
from exports.report.usage import usage_of
from snas_nni.files import readable

__all__ = ["CARD_FILE", "model_card"]

CARD_FILE = "README.md"

_TEMPLATE = """---
{{ card_data }}
---

# {{ name }}

A network found by stochastic neural architecture search (SNAS) in the space `{{ space }}`, and its trained weights.

{% if numbers %}
| | |
|---|---|
{% for title, value in numbers %}
| {{ title }} | {{ value }} |
{% endfor %}
{% endif %}

{% if cautions %}
## Before you use it

{% for text in cautions %}
- {{ text }}
{% endfor %}
{% endif %}

{% if usage %}
## Use

{{ usage.inputs }}

{% if usage.onnx %}
```python
{{ usage.onnx }}
```
{% endif %}
{% if usage.pytorch %}
```python
{{ usage.pytorch }}
```
{% endif %}
{% endif %}

## How it was found

{% if choices %}
| choice | chosen | probability |
|---|---|---|
{% for label, value, probability in choices %}
| `{{ label }}` | `{{ value }}` | {{ probability }} |
{% endfor %}
{% endif %}

The method: Xie, Zheng, Liu and Lin, *SNAS: Stochastic Neural Architecture Search*, ICLR 2019.
{% if versions %}
Software: {{ versions }}.
{% endif %}
"""


def model_card(folder: Path, name: str | None = None) -> str:
    """Return the Markdown of a model card, whose header the Hugging Face hub reads.

    Args:
        folder: of a search or a retraining.
        name: of the model; the folder's by default.

    Raises:
        ArchitectureFileError: there is no finished run in the folder.
        ImportError: the package ``huggingface_hub`` is missing; the message names the extra.
    """
    try:
        from huggingface_hub import EvalResult, ModelCard, ModelCardData  # checks and writes the header
    except ImportError as error:
        raise ImportError("model cards need huggingface_hub: pip install 'snas-nni[card]'") from error
    run = read_run(folder)
    if run.architecture is None or not run.summary:
        needed = ("architecture.json", "summary.json")
        why = next((problem for problem in run.problems if problem.startswith(needed)), "summary.json says nothing")
        problem = f"holds no finished search or retraining: {readable(why, 300)}"
        raise ArchitectureFileError("(file)", problem, "Give the folder of one", folder)
    name = name or folder.resolve().name
    data = as_mapping(run.settings.get("data"))
    reached = run.metrics.get(run.metric.test)
    results = [
        EvalResult(
            task_type=_task_of(run),
            dataset_type=str(data.get("source") or "unknown"),
            dataset_name=str(data.get("source") or "unknown"),
            dataset_split="test",
            metric_type=run.metric.name,
            metric_value=reached,
        )
    ]
    header = ModelCardData(
        library_name="onnx",
        tags=["neural-architecture-search", "snas", "nni"],
        model_name=name,
        eval_results=results if reached is not None else None,
    )
    card = ModelCard.from_template(
        header,
        template_str=_TEMPLATE,
        name=name,
        space=run.architecture.space.class_path,
        numbers=_numbers(run),
        cautions=[finding.text for finding in findings(run) if finding.kind == "warning"],
        usage=usage_of(run),
        choices=_choices(run),
        versions=", ".join(f"{package} {version}" for package, version in sorted(run.architecture.versions.items())),
    )
    return "\n".join(_single_blank_lines(str(card))) + "\n"


_TASK_TYPES = {
    "regression": "tabular-regression",
    "segmentation": "image-segmentation",
    "sequence_labeling": "token-classification",
}


def _task_of(run: Run) -> str:
    shape = run.summary.get("input_shape")
    task = as_mapping(run.settings.get("training")).get("task")
    if task not in (None, "classification"):
        return _TASK_TYPES.get(str(task), "other")
    return {3: "image-classification", 1: "tabular-classification"}.get(
        len(shape) if isinstance(shape, list) else 0, "other"
    )


def _numbers(run: Run) -> list[tuple[str, str]]:
    metrics = run.metrics
    found = [
        (f"{split} {run.metric.title}", _reached(run, split, metrics[name]))
        for split, name in (("test", run.metric.test), ("validation", run.metric.validation))
        if name in metrics
    ]
    names = run.summary.get("class_names")
    if isinstance(names, list) and names:
        found.append((f"classes, {len(names)}", _cell(", ".join(map(str, names)))))
    if run.parameters is not None:
        found.append(("parameters", compact(run.parameters)))
    if "macs" in metrics:
        found.append(("multiply-accumulates for one input", compact(metrics["macs"])))
    for cost, bound in run.bounds.items():
        found.append((f"budget: {cost}", f"at most {compact(bound)}"))
    return found


def _reached(run: Run, split: str, value: float) -> str:
    known = run.evidence.splits.get(split)
    return with_interval(value, interval_of(known.whole if known else None, value), run.metric)


def _choices(run: Run) -> list[tuple[str, str, str]]:
    if run.architecture is None:
        return []
    rows = []
    for label, value in run.architecture.sample.items():
        chosen = value if isinstance(value, list) else [value]
        known = run.architecture.probabilities.get(label, {})
        shown = ", ".join(percent(known[str(each)]) for each in chosen if str(each) in known)
        rows.append((_cell(label), _cell(", ".join(map(str, chosen)) or "none"), shown))
    return rows


def _cell(text: str) -> str:
    """Make text from a file safe inside a code span of a table."""
    return "".join(letter if letter.isprintable() and letter not in "`|" else "_" for letter in text)[:120]


def _single_blank_lines(text: str) -> list[str]:
    """Lines without two blank ones in a row, and without blank ones inside tables and lists."""
    kept: list[str] = []
    lines = text.splitlines()
    for index, line in enumerate(lines):
        following = next((each for each in lines[index + 1 :] if each.strip()), "")
        inside = bool(kept) and kept[-1][:1] in "|-" and following[:1] == kept[-1][:1] and kept[-1] != "---"
        if line.strip() or not (inside or (kept and not kept[-1].strip())):
            kept.append(line)
    while kept and not kept[-1].strip():
        kept.pop()
    return kept
