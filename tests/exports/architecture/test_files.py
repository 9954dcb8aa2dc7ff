import dataclasses
import json
import random

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_export_spaces import EdgeSpace

from exports import Architecture, ArchitectureFileError, SpaceReference, architecture_schema, build, load, save
from exports.architecture.files import MAX_BYTES, as_text, from_text

names = st.text(max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | numbers | names
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
)
shares = st.floats(0, 1)
edges = st.fixed_dictionaries(
    {"from": st.integers(0, 9), "to": st.integers(0, 9), "op": names}, optional={"probability": shares, "label": names}
)
architectures = st.builds(
    Architecture,
    space=st.builds(
        SpaceReference,
        class_path=st.sampled_from(["a.B", "search_spaces.cells.Space", "módulo.Ünit"]),
        arguments=st.dictionaries(names, values, max_size=3),
    ),
    sample=st.dictionaries(names, values, max_size=4),
    cells=st.dictionaries(names, st.lists(edges, max_size=3), max_size=2),
    probabilities=st.dictionaries(names, st.dictionaries(names, shares, max_size=3), max_size=3),
    entropy=st.dictionaries(names, st.floats(0, 10), max_size=3),
    seed=st.none() | st.integers(-(2**63), 2**64 - 1),
    settings=st.dictionaries(names, values, max_size=3),
    versions=st.dictionaries(names, names, max_size=3),
    metrics=st.dictionaries(names, numbers, max_size=3),
    parameters=st.integers(0, 2**40),
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(architectures)
def test_text_round_trip_is_exact_and_stable(architecture):
    text = as_text(architecture)
    again = from_text(text.encode("utf-8"))
    assert again == architecture
    assert as_text(again) == text
    jsonschema.validate(json.loads(text), architecture_schema())


def test_schema_is_valid_and_closed():
    schema = architecture_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    fields = [field.name for field in dataclasses.fields(Architecture) if field.name != "file"]
    assert list(schema["properties"]) == fields


def test_save_and_load(edge_architecture, tmp_path):
    path = tmp_path / "architecture.json"
    saved = save(edge_architecture, path)
    loaded = load(path)
    assert loaded == edge_architecture == saved
    assert loaded.file == saved.file == path
    assert list(json.loads(path.read_text()))[:4] == ["format", "version", "space", "sample"]
    assert [each.name for each in tmp_path.iterdir()] == ["architecture.json"]


def test_order_of_insertion_does_not_show(edge_architecture):
    turned = dataclasses.replace(edge_architecture, sample=dict(reversed(edge_architecture.sample.items())))
    assert as_text(turned) == as_text(edge_architecture)


def test_an_interrupted_save_keeps_the_old_file(edge_architecture, tmp_path, monkeypatch):
    path = tmp_path / "architecture.json"
    save(edge_architecture, path)
    before = path.read_bytes()

    def full(_):
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ArchitectureFileError, match="No space left"):
        save(dataclasses.replace(edge_architecture, seed=8), path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["architecture.json"]


def test_a_record_made_invalid_is_not_saved(edge_architecture, tmp_path):
    edge_architecture.metrics["accuracy"] = float("nan")
    with pytest.raises(ArchitectureFileError, match=r"metrics\.accuracy: is nan"):
        save(edge_architecture, tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_named(edge_architecture, tmp_path):
    with pytest.raises(ArchitectureFileError, match="cannot be written"):
        save(edge_architecture, tmp_path / "nowhere" / "a.json")


def changed(path, *keys, to):
    document = json.loads(path.read_text())
    place = document
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = to
    return json.dumps(document)


NESTED = "[" * 200_000


@pytest.mark.parametrize(
    ("content", "key", "words"),
    [
        (lambda p: p.read_text()[:-40], "(file)", "not readable JSON"),
        (lambda p: "", "(file)", "not readable JSON"),
        (lambda p: b"\xff\xfe", "(file)", "not readable JSON"),
        (lambda p: NESTED, "(file)", "nested too deeply"),
        (lambda p: '{"format": ' + NESTED + "]" * 200_000 + "}", "(file)", "nested too deeply"),
        (lambda p: "9" * 5000, "(file)", "not readable JSON"),
        (lambda p: "[]", "(file)", "not a JSON object"),
        (lambda p: b" " * (MAX_BYTES + 1), "(file)", "more than"),
        (lambda p: "{}", "format", "not 'snas-nni/architecture'"),
        (lambda p: changed(p, "version", to=2), "version", "reads version 1 only"),
        (lambda p: changed(p, "version", to="1"), "version", "reads version 1 only"),
        (lambda p: changed(p, "extra", to=2), "extra", "unknown key"),
        (lambda p: changed(p, "space", "path", to=2), "space.path", "unknown key"),
        (lambda p: changed(p, "space", to={"arguments": {}}), "space.class_path", "is missing"),
        (lambda p: changed(p, "space", "arguments", to=[]), "space.arguments", "must be object"),
        (lambda p: changed(p, "space", "class_path", to=3), "space.class_path", "must be string"),
        (lambda p: changed(p, "sample", to=None), "sample", "must be object"),
        (lambda p: changed(p, "seed", to="x"), "seed", "must be integer or null"),
        (lambda p: changed(p, "parameters", to=1.5), "parameters", "must be integer"),
        (lambda p: changed(p, "entropy", "normal/edge_0_2", to=True), "entropy.normal/edge_0_2", "must be number"),
        (lambda p: changed(p, "metrics", "accuracy", to=float("nan")), "metrics.accuracy", "finite"),
        (lambda p: changed(p, "settings", "x", to=[0, float("-inf")]), "settings.x[1]", "finite"),
        (lambda p: p.read_text().replace('"epochs": 3', '"epochs": 1e999'), "settings.epochs", "finite"),
        (lambda p: p.read_text().replace('"seed": 7', '"seed": 7, "seed": 8'), "seed", "twice"),
        (lambda p: changed(p, "weights", to="../child.safetensors"), "weights", "."),
        (lambda p: changed(p, "weights", to="/etc/passwd"), "weights", "."),
        (lambda p: changed(p, "weights", to="a\\b"), "weights", "."),
        (lambda p: changed(p, "weights", to="C:b"), "weights", "."),
        (lambda p: changed(p, "weights", to=".."), "weights", "plain file name"),
        (lambda p: changed(p, "weights", to="a\0b"), "weights", "plain file name"),
        (lambda p: changed(p, "weights", to="w\n"), "weights", "plain file name"),
        (lambda p: changed(p, "sha256", to="abc"), "sha256", "match"),
    ],
)
def test_a_bad_file_is_refused_by_name(saved, content, key, words):
    bad = content(saved)
    path = saved.with_name("bad.json")
    path.write_bytes(bad if isinstance(bad, bytes) else bad.encode("utf-8"))
    with pytest.raises(ArchitectureFileError, match=words) as caught:
        load(path)
    assert caught.value.key == key
    assert caught.value.file == path
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1500


def test_moderate_nesting_is_named_by_its_place(saved):
    deep = []
    for _ in range(100):
        deep = [deep]
    saved.write_text(changed(saved, "settings", "deep", to=deep))
    with pytest.raises(ArchitectureFileError, match=r"settings\.deep.*nested deeper than 64"):
        load(saved)


def test_an_absent_file_is_named(tmp_path):
    for path in (tmp_path / "none.json", tmp_path, "a\0b"):
        with pytest.raises(ArchitectureFileError, match="cannot be read"):
            load(path)


JUNK = [None, True, -1, 0, 2.5, "", "x", "../x", [], [[1]], {}, {"a": 1}, float("nan"), float("inf"), "\ud800", 2**80]


def mutated(text, source):
    """Return a damaged copy of an architecture file's bytes."""
    if source.random() < 0.4:
        content = bytearray(text.encode("utf-8"))
        for _ in range(source.randint(1, 4)):
            at = source.randrange(len(content))
            kind = source.randrange(3)
            if kind == 0:
                content[at] = source.randrange(256)
            elif kind == 1:
                del content[at : at + source.randint(1, 30)]
            else:
                content[at:at] = source.choice([b'"', b"{", b"]", b",", b"NaN", b"1e400", b"\\u0000", b"null"])
        return bytes(content)
    document = json.loads(text)
    for _ in range(source.randint(1, 2)):
        place = document
        while place:
            key = source.choice(list(place) if isinstance(place, dict) else range(len(place)))
            if isinstance(place[key], (dict, list)) and place[key] and source.random() < 0.7:
                place = place[key]
                continue
            action = source.randrange(3)
            if action == 0:
                place[key] = source.choice(JUNK)
            elif action == 1:
                del place[key]
            elif isinstance(place, dict):
                place[source.choice(["new", "weights", "label", "op"])] = source.choice(JUNK)
            break
    return json.dumps(document).encode("utf-8")


def test_damaged_files_are_read_or_refused_and_nothing_else(saved):
    text = saved.read_text()
    source = random.Random(20190430)
    outcomes = {"loaded": 0, "built": 0, "refused": 0}
    for _ in range(400):
        saved.write_bytes(mutated(text, source))
        try:
            architecture = load(saved)
        except ArchitectureFileError:
            outcomes["refused"] += 1
            continue
        outcomes["loaded"] += 1
        assert from_text(as_text(architecture).encode("utf-8")) == architecture
        try:
            build(architecture, spaces=[EdgeSpace])
        except ArchitectureFileError:
            continue
        outcomes["built"] += 1
    assert min(outcomes.values()) > 10, outcomes
