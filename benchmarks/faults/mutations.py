"""Damaged copies of valid files: changes that know the structure, changes of bytes, and known bombs."""

from __future__ import annotations

import copy
import random
from typing import Any

__all__ = ["ATTACKER_MODULE", "damaged_bytes", "damaged_document", "yaml_bombs"]

ATTACKER_MODULE = "module_of_an_attacker"
"""A module that can be imported while the files are read, and must never be."""

_LONG = "x" * 5000
JUNK: list[Any] = [
    *(None, True, False, 0, 1, -1, 3, 2.5, -0.0, 1e308, float("nan"), float("inf")),
    *(2**31, 2**63, 2**64, -(2**70), 10**30, 10**400),
    *("", "x", " ", "null", "1", "nan", "\0", "a\nb", "\x1b[2J\x1b[31m", "\u202e", "\ud800", _LONG),
    *("../x", "../../etc/passwd", "/etc/passwd", "/dev/zero", "/dev/stdin", "~/x", "C:\\x", "file:///etc/passwd"),
    *(f"{ATTACKER_MODULE}.Space", f"{ATTACKER_MODULE}", "os.system", "builtins.eval", "search_spaces.os.system"),
    *("__main__.Space", "search_spaces..X", "search_spaces.__init__.X", "$(touch x)", "{{1}}", "%s%n"),
    *([], [[]], [1], [None] * 50, ["x", 1], {}, {"a": 1}, {"": {"": {}}}, {"class_path": f"{ATTACKER_MODULE}.Space"}),
    {"__class__": ATTACKER_MODULE, "py/object": f"{ATTACKER_MODULE}.Space", "init_args": {}},
]
BYTES = [
    *(b'"', b"{", b"}", b"[", b"]", b",", b":", b"- ", b"\n", b"\t", b"#", b"&a ", b"*a ", b"!!", b"<<: *a\n", b"? "),
    *(b"NaN", b"1e400", b"-Infinity", b"9" * 6000, b"0x" + b"f" * 400, b"\\u0000", b"\\ud800", b"null", b"\0", b"\xff"),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"[" * 3000, b"{a: " * 300, b"!!python/object/apply:os.system [x]", b"\x1b[2J"),
    *(b"!!binary x", b"!!timestamp 2020-99-99", b"!!int", b"!!float x", b"!!set {a}", b"!!omap [a]", b"2020-01-01"),
    *(b"1:20:30", b"=", b"~", b"%YAML 9.9\n---\n", b"---\n", b"...\n", b"\x85", b"\xe2\x80\xa8", b"&a [*a]"),
]


def damaged_bytes(content: bytes, chance: random.Random) -> bytes:
    """Return ``content`` with some bytes changed, cut, repeated or put in."""
    damaged = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(damaged) + 1)
        match chance.randrange(6):
            case 0:
                damaged[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del damaged[at : at + chance.randint(1, 40)]
            case 2:
                damaged[at:at] = damaged[at : at + chance.randint(1, 200)]
            case 3:
                del damaged[at:]
            case 4 if damaged:
                damaged[at % len(damaged)] ^= 1 << chance.randrange(8)
            case _:
                damaged[at:at] = chance.choice(BYTES)
    return bytes(damaged)


def damaged_document(document: Any, chance: random.Random) -> Any:
    """Return a copy with one to three values replaced, removed, renamed, moved, added or nested deeply."""
    result = copy.deepcopy(document)
    for _ in range(chance.randint(1, 3)):
        place = _place(result, chance)
        if place is None:
            return chance.choice(JUNK)
        container, key = place
        match chance.randrange(8):
            case 0 | 1 | 2:
                container[key] = copy.deepcopy(chance.choice(JUNK))
            case 3:
                del container[key]
            case 4 if isinstance(container, dict):
                container[chance.choice([*map(str, JUNK[18:30]), str(key) + "_", str(key).upper()])] = container.pop(
                    key
                )
            case 5:
                _put(container, key, copy.deepcopy(chance.choice(JUNK)), chance)
            case 6:
                container[key] = _deep(container[key], chance.choice([3, 40, 70, 500]), chance)
            case _:
                other = _place(result, chance)
                if other is not None:
                    container[key] = copy.deepcopy(other[0][other[1]])
    return result


def _place(document: Any, chance: random.Random) -> tuple[Any, Any] | None:
    """Pick a value somewhere in the document: its container and its key there."""
    found = None
    here = document
    while isinstance(here, (dict, list)) and here:
        key = chance.choice(list(here) if isinstance(here, dict) else range(len(here)))
        found, here = (here, key), here[key]
        if chance.random() < 0.3:
            break
    return found


def _put(container: Any, key: Any, value: Any, chance: random.Random) -> None:
    if isinstance(container, dict):
        names = ["new", "class_path", "weights", "_type", "config", "__init__", "label", "platform", "codeDirectory"]
        container[chance.choice(names)] = value
    else:
        container[key:key] = [value] * chance.choice([1, 1, 300])


def _deep(value: Any, depth: int, chance: random.Random) -> Any:
    for _ in range(depth):
        value = {"d": value} if chance.random() < 0.5 else [value]
    return value


def yaml_bombs() -> list[bytes]:
    """Small files that mean a lot of memory, many lines, a stack without end, or somebody else's code."""
    laughs = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    laughs += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    inside = "\n".join("    " + line for line in laughs)
    return [
        "\n".join(laughs).encode(),
        f"space:\n  init_args:\n{inside}\n".encode(),
        f"searchSpace:\n{inside}\n".encode(),
        b"search: &a {epochs: *a}\n",
        b"space: {init_args: &a {x: *a}}\n",
        b"searchSpace: &a {x: *a}\n",
        b"space: {init_args: {x: &a [*a]}}\n",
        b"<<: &a {<<: *a}\n",
        b"[" * 100_000,
        b"{a: " * 20_000,
        b"- " * 20_000,
        b"? " * 20_000,
        b"a:\n" * 20_000,
        b"seed: " + b"9" * 900_000,
        b"seed: 0x" + b"f" * 900_000,
        b"seed: " + b":".join([b"59"] * 100_000),
        b"x" * (2**20 + 1),
        b"seed: !!python/object/apply:os.system ['touch attacked']\n",
        b"seed: !!python/name:" + ATTACKER_MODULE.encode() + b".Space\n",
        b"seed: !!python/module:" + ATTACKER_MODULE.encode() + b"\n",
        b"!!python/object/new:" + ATTACKER_MODULE.encode() + b".Space {}\n",
        *[f"{group}: /dev/zero\n".encode() for group in ("space", "data", "search", "resources", "training")],
        b"config: /dev/zero\n",
        b"searchSpaceFile: /dev/zero\n",
    ]
