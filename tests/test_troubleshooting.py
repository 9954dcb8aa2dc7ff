"""docs/troubleshooting.md quotes messages that the code has."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"^\*\*`(.+?)`\*\*", PAGE, re.MULTILINE)
OPEN = "…"


def text_of(node):
    """A string of the code with each formatted value as an ellipsis; None for what is no string."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) if isinstance(part, ast.Constant) else OPEN for part in node.values)
    return None


@pytest.fixture(scope="module")
def messages():
    """Every string in the code outside docstrings, as one text each."""
    found = set()
    for package in ("snas_nni", "search_spaces", "exports", "trials"):
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            docstrings = {
                id(node.body[0].value)
                for node in ast.walk(tree)
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
                and node.body
                and isinstance(node.body[0], ast.Expr)
            }
            found |= {
                text for node in ast.walk(tree) if id(node) not in docstrings and (text := text_of(node)) is not None
            }
    return {re.sub(f"{OPEN}+", OPEN, text) for text in found}


def test_there_are_many():
    assert len(QUOTED) > 35
    assert len(set(QUOTED)) == len(QUOTED)


@pytest.mark.parametrize("quoted", QUOTED)
def test_each_message_is_in_the_code(quoted, messages):
    assert any(quoted in message for message in messages), quoted


def test_a_message_that_is_not_there_is_noticed(messages):
    assert not any("the moon is too bright for a search" in message for message in messages)


def test_each_entry_has_an_answer():
    heads = re.findall(r"^\*\*.+$", PAGE, re.MULTILINE)
    assert len(heads) == len(re.findall(r"^\*\*.+\n\n[^*#\n]", PAGE, re.MULTILINE))
