"""What `space_from` makes of a library's networks: rows of a page, measured, with the reasons for what stays."""

import re
import tempfile
import warnings
from pathlib import Path

import torch

from exports.code.export import export_code
from exports.conformance import STEPS, check_space
from exports.errors import CodeExportError
from search_spaces import FromModel
from search_spaces.from_model.given import constructor_from
from snas_nni import SNAS, derive_child
from snas_nni.resources import count_child

SETTINGS = {"widths": (0.5, 1.0), "kernels": (3,)}
COLUMNS = ["network", "widths", "blocks", "kernels", "MACs of the smallest", "starts as given", *STEPS, "as code"]


def measured(maker, name, arguments, size=64, steps=True):
    """One row of the table, and the reasons for what stays or fails.

    Args:
        maker: dotted path of a function that makes a network with random weights by its name.
        name: of the network.
        arguments: further ones of the function.
        size: side of its images.
        steps: whether the steps of `check_space` are run too, which takes most of the time.
    """
    make = constructor_from(maker)
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))

    def space_of():
        return FromModel(maker, {"name": name, **arguments}, example=[2, 3, size, size], **SETTINGS)

    given = make(name, **arguments).eval()
    with torch.no_grad():
        expected = given(images)
    assert expected.std() > 0, "an output that is the same for everything shows nothing"
    try:
        space = space_of()
    except ValueError as error:
        return f"| {' | '.join([name, *['-'] * (len(COLUMNS) - 1)])} |", [f"{name} is refused: {one_line(error)}"]
    with torch.no_grad():
        same = torch.allclose(space.eval()(images), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    kinds = [sum(label.endswith(f"/{kind}") for label in space.candidates) for kind in ("width", "block", "kernel")]
    supernet = SNAS(seed=0).mutate_model(space)
    smallest = derive_child(supernet, {label: values[-1] for label, values in space.candidates.items()})
    left = count_child(smallest, images[:1])["macs"] / count_child(given, images[:1])["macs"]
    code = refusal_of_code(smallest, size)
    marks, failed = ["-"] * len(STEPS), {}
    if steps:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = check_space(space_of, lambda: images, samples=2, raise_on_failure=False)
        marks = ["yes" if step in report.passed else "no" if step in report.failed else "-" for step in STEPS]
        failed = {step: re.sub(r"/tmp/[^ ]*", "FILE", text) for step, text in report.failed.items()}
    if code is not None:
        failed = {**failed, "as code": code}
    cells = [name, *map(str, kinds), f"{100 * left:.0f} %", "yes" if same else "no", *marks, "no" if code else "yes"]
    lines = [*reasons(space.fixed), *(f"{step}: {one_line(text)}" for step, text in failed.items())]
    return f"| {' | '.join(cells)} |", [f"{name}: {text}" for text in lines]


def refusal_of_code(child, size):
    """Why a child cannot be written as source; None if it can, and gives equal logits."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            export_code(child, Path(folder) / "child.py", (3, size, size))
        except CodeExportError as error:
            return str(error)
    return None


def one_line(text):
    return " ".join(str(text).split())


def reasons(fixed):
    """Each reason once, with the first layer that has it and how many have."""
    by_reason = {}
    for path, reason in fixed.items():
        by_reason.setdefault(re.sub(r" (of|in) '[^']*'|'[^']*'", "", reason), []).append((path, reason))
    for found in by_reason.values():
        path, reason = found[0]
        more = f" (and {len(found) - 1} more like it)" if len(found) > 1 else ""
        yield f"{path or 'the network'} {reason}{more}"


def table(rows):
    """What the page says, from ``{network: (row, reasons)}``."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|", *(row for row, _ in rows.values())]
    lines += ["", "What stays in them, in the words of the space:", ""]
    lines += [f"* {reason}" for _, found in rows.values() for reason in found]
    return "\n".join(lines) + "\n"


def read_table(text, names):
    """The rows of a page by name, as far as it has them."""
    rows = {}
    for name in names:
        if row := re.search(rf"^\| {re.escape(name)} \|.*$", text, re.MULTILINE):
            rows[name] = row[0], re.findall(rf"^\* ({re.escape(name)}(?:: | is refused).*)$", text, re.MULTILINE)
    return rows


def write_table(page, mark, end, networks, measure, wanted=()):
    """Measure networks, all or those that are wanted, and write a page's table anew; rows of the others stay."""
    before, rest = page.read_text(encoding="utf-8").split(mark)
    old, after = rest.split(end) if end else (rest, "")
    rows = read_table(old, networks)
    for name in wanted or networks:
        rows[name] = measure(name)
        print(rows[name][0], *rows[name][1], sep="\n", flush=True)
        new = table({each: rows[each] for each in networks if each in rows})
        page.write_text(before + mark + new + (f"\n{end}" if end else "") + after, encoding="utf-8")
