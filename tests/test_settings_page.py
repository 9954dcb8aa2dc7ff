"""docs/settings.md is what the code says; `python -m tests.test_settings_page` (or `make docs`) writes it anew."""

import inspect
import re
from dataclasses import fields, is_dataclass
from pathlib import Path

from snas_nni import SNAS, Budget, ResourcePenalty
from snas_nni.resources import COSTS
from trials.settings.guard import groups_of
from trials.settings.help import fields_in_order, meanings_of
from trials.settings.retrain import RetrainSettings
from trials.settings.search import RunSettings

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"

HEAD = """\
# Settings

Written from the code by `make docs`; a test compares.

A setting of `snas-nni search` and `snas-nni retrain` is given on the command line (`--search.epochs 20`), in a YAML
file (`--config FILE`, several may follow one another), or by a tuner, in which case its name is a key of the
experiment's search space. The later one wins, an unknown name is an error. `null` is YAML's word for nothing.

```yaml
search:
  epochs: 20
  logits_learning_rate: 0.05
data:
  source: folder
  path: my_images
```
"""


def meanings(documented):
    """What a docstring says about each argument, as one line of Markdown."""
    text = inspect.cleandoc(documented.__doc__)
    text = re.split(r"\n(?:Args|Attributes):", text, maxsplit=1)[1]
    text = re.split(r"\n\n?(?:Raises|Returns):", text)[0]
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", text, re.MULTILINE)
    found = {name: " ".join(meaning.split()) for name, meaning in entries}
    linked = re.compile(r":\w+:`~?([\w.]+)`")
    return {name: linked.sub(lambda m: f"`{m[1]}`", meaning).replace("``", "`") for name, meaning in found.items()}


def shown(value):
    """A default in YAML's words."""
    words = {None: "null", True: "true", False: "false"}
    if isinstance(value, (bool, type(None))):
        return words[value]
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) or '""'


def table(rows):
    """A Markdown table of (name, default, meaning)."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    for name, default, meaning in rows:
        text = meaning.replace("|", "\\|")
        lines.append(f"| `{name}` | `{default}` | {text} |")
    return "\n".join(lines)


def default_of(field, words=shown):
    value = field.default_factory() if callable(field.default_factory) else field.default
    return "" if is_dataclass(value) else words(value)


def command_section(title, kind):
    """All settings of one verb, group by group."""
    parts = [f"## {title}"]
    for name, group in [("", kind), *groups_of(kind).items()]:
        said = meanings_of(group)
        own = [f for f in fields_in_order(group) if name or f.name not in groups_of(kind)]
        assert {f.name for f in own} <= set(said), group
        heading = group.__doc__.splitlines()[0].rstrip(".")
        parts.append(f"### {heading}" + (f" (`{name}.`)" if name else ""))
        parts.append(table((f"{name}.{f.name}" if name else f.name, default_of(f), said[f.name]) for f in own))
    return "\n\n".join(parts)


def class_section(title, cls):
    """The arguments of a class."""
    said = meanings(cls)
    if is_dataclass(cls):
        rows = [(f.name, default_of(f, repr), said.get(f.name)) for f in fields(cls)]
    else:
        parameters = list(inspect.signature(cls).parameters.values())
        rows = [(p.name, "" if p.default is p.empty else repr(p.default), said.get(p.name)) for p in parameters]
    assert all(meaning for _, _, meaning in rows), cls
    return f"## {title}\n\n" + table(rows)


def budget_section():
    """The arguments of Budget: a bound for each cost, and what it has besides."""
    said = meanings(Budget)
    rows = [(key, None, f"bound on {info.meaning}.") for key, info in COSTS.items()]
    rows += [(f.name, default_of(f, repr), said[f.name]) for f in fields(Budget) if f.name != "bounds"]
    return "## `snas_nni.Budget`\n\n" + table(rows)


def page():
    """The whole page."""
    parts = [
        HEAD.rstrip("\n"),
        command_section("`snas-nni search`", RunSettings),
        command_section("`snas-nni retrain`", RetrainSettings),
        class_section("In Python: `snas_nni.SNAS`", SNAS),
        budget_section(),
        class_section("`snas_nni.ResourcePenalty`", ResourcePenalty),
    ]
    return "\n\n".join(parts).replace("`` ", " ").replace("| `` |", "| |") + "\n"


def test_the_page_is_what_the_code_says():
    assert PAGE.read_text(encoding="utf-8") == page(), "docs/settings.md is out of date: make docs"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
