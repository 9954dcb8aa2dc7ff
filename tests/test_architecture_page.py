"""Imports run one way, and docs/architecture.md shows the rooms as they are; `make docs` writes its pictures anew.

A room is a file or a folder of a package, an arrow an import of one by the other, wherever in a file it stands and
also where only a type checker reads it.
"""

import ast
import graphlib
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
PACKAGES = ("search_spaces", "snas_nni", "exports", "trials")
MOST_FILES = 16

# What may never turn round, whatever else changes: each may import those before it and none behind it.
ORDERS = {
    "": ("snas_nni", "exports", "trials"),
    "snas_nni": ("errors", "distribution", "supernet", "resources", "one_shot", "strategy"),
    "exports": ("errors", "architecture", "rebuilding", "report"),
    "trials": ("settings", "data", "training", "runs", "verbs"),
}
MORE_ORDERS = {"snas_nni": ("distribution", "supernet", "derivation", "community", "one_shot", "strategy")}


def module_names(root=ROOT):
    """The file of every module by dotted name; a package's is that of its ``__init__``."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            found[".".join(path.relative_to(root).with_suffix("").parts)] = path
    return found


def imported_by(name, path, modules):
    """Modules of this project that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = name.split(".")[: -node.level] if node.level else []
            start = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            targets = [f"{start}.{alias.name}" for alias in node.names]
            # `from package import name`: a module of that name, or something that the package itself offers.
            targets = [each if resolved(each, modules) else start for each in targets]
        else:
            continue
        yield from {found for each in targets if (found := resolved(each, modules)) not in (None, name)}


def resolved(name, modules):
    return next((each for each in (name, f"{name}.__init__") if each in modules), None)


@pytest.fixture(scope="module")
def arrows():
    return all_arrows()


def all_arrows(root=ROOT):
    modules = module_names(root)
    return {name: set(imported_by(name, path, modules)) for name, path in modules.items()}


def rooms_of(package, arrows):
    """Rooms of a package (of the whole house: ''), each with those that it imports."""
    depth = 1 if package else 0

    def room(name):
        parts = name.split(".")
        return parts[depth] if not package or parts[0] == package else None

    found = {room(name): set() for name in arrows if room(name)}
    for name, targets in arrows.items():
        if room(name):
            found[room(name)] |= {room(target) for target in targets} - {None, room(name)}
    return found


def circle_in(graph):
    """Names along a circle, or None."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return None


def floors_of(rooms):
    """Rooms by floor, from the ground: a room stands one floor above the highest that it imports."""
    floors = {}
    for room in graphlib.TopologicalSorter(rooms).static_order():
        floors[room] = 1 + max((floors[each] for each in rooms[room]), default=-1)
    by_floor = defaultdict(list)
    for room in sorted(floors):
        by_floor[floors[room]].append(room)
    return [by_floor[floor] for floor in sorted(by_floor)]


def purpose(package, room):
    """The first line of what a room says of itself."""
    path = ROOT / package / room
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(said.split("\n\n")[0].split()).rstrip(".").replace("``", "`").replace("|", "\\|")


def section(package, arrows):
    """The picture and the table of one package, or of the whole house."""
    rooms = rooms_of(package, arrows)
    floors = floors_of(rooms)
    picture = "\n".join("   ".join(floor) for floor in reversed(floors))
    lines = [f"### {package or 'The house'}", "", "```text", picture, "```", ""]
    lines += ["| room | imports | what it is |", "|---|---|---|"]
    for floor in reversed(floors):
        for room in floor:
            folder = (ROOT / package / room).is_dir()
            path = f"{package}/{room}" if package else room
            link = f"[`{room}`](../{path if folder else path + '.py'})"
            imports = ", ".join(f"`{each}`" for each in sorted(rooms[room])) or "-"
            said = purpose(package, room) if package or (ROOT / room / "__init__.py").exists() else ""
            lines.append(f"| {link} | {imports} | {said} |")
    return "\n".join(lines)


def pictures(arrows):
    parts = (section(package, arrows) for package in ("", *reversed(PACKAGES)))
    return "\n" + "\n\n".join(parts) + "\n"


WRITTEN = re.compile(r"(<!-- written by make docs: begin -->\n).*(\n<!-- written by make docs: end -->)", re.DOTALL)


def test_no_circle_between_files(arrows):
    assert circle_in(arrows) is None


@pytest.mark.parametrize("package", ["", *PACKAGES])
def test_no_circle_between_rooms(arrows, package):
    assert circle_in(rooms_of(package, arrows)) is None


@pytest.mark.parametrize(("package", "order"), [*ORDERS.items(), *MORE_ORDERS.items()])
def test_the_order_that_never_turns_round(arrows, package, order):
    rooms = rooms_of(package, arrows)
    for index, room in enumerate(order):
        assert not rooms[room] & set(order[index + 1 :]), room


def test_search_spaces_stand_alone(arrows):
    assert rooms_of("", arrows)["search_spaces"] == set()


def test_the_page_shows_the_rooms_as_they_are(arrows):
    written = WRITTEN.search(PAGE.read_text(encoding="utf-8"))
    begin, end = written.groups()
    assert written[0] == begin + pictures(arrows) + end, "docs/architecture.md is out of date: make docs"


def test_every_room_is_named_and_no_picture_has_an_upward_arrow(arrows):
    page = PAGE.read_text(encoding="utf-8")
    for package in ("", *PACKAGES):
        drawn = re.search(rf"^### {package or 'The house'}\n\n```text\n(.*?)\n```", page, re.DOTALL | re.MULTILINE)[1]
        height = {}
        for floor, line in enumerate(reversed(drawn.splitlines())):
            height |= dict.fromkeys(line.split(), floor)
        rooms = rooms_of(package, arrows)
        assert set(height) == set(rooms)
        up = [(room, other) for room, others in rooms.items() for other in others if height[other] >= height[room]]
        assert up == []


def test_no_folder_has_too_many_files():
    for package in (*PACKAGES, "tests", "benchmarks", "examples"):
        for folder in (ROOT / package, *(ROOT / package).rglob("*")):
            if folder.is_dir() and "__pycache__" not in folder.parts:
                assert sum(each.is_file() for each in folder.iterdir()) <= MOST_FILES, folder


def test_a_circle_and_a_relative_import_are_noticed(tmp_path):
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
    (tmp_path / "trials" / "one.py").write_text("def f():\n    from .two import g\n")
    (tmp_path / "trials" / "two.py").write_text("if TYPE_CHECKING:\n    import trials.one\n")
    (tmp_path / "exports" / "three.py").write_text("from trials import two, nothing\n")
    arrows = all_arrows(tmp_path)
    assert arrows["trials.one"] == {"trials.two"}
    assert arrows["exports.three"] == {"trials.two", "trials.__init__"}
    assert set(circle_in(arrows)) == {"trials.one", "trials.two"}
    assert rooms_of("", arrows)["exports"] == {"trials"}


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    new = pictures(all_arrows())
    PAGE.write_text(WRITTEN.sub(lambda match: match[1] + new + match[2], text), encoding="utf-8")
