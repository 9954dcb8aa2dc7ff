"""An experiment of ``nnictl`` is reported on from NNI's own database."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from snas_nni.errors import SettingError
from trials.cli import main
from trials.experiments.nni_database import DATABASE, experiment_document

# As NNI 3.0 makes them.
TABLES = """
CREATE TABLE TrialJobEvent (timestamp integer, trialJobId text, event text, data text, logPath text,
    sequenceId integer, message text, environmentId text);
CREATE TABLE MetricData (timestamp integer, trialJobId text, parameterId text, type text, sequence integer, data text);
CREATE TABLE ExperimentProfile (params text, id text, execDuration integer, startTime integer, endTime integer,
    logDir text, nextSequenceId integer, revision integer);
"""


def parameters(number: int, seed: int) -> str:
    return json.dumps({"parameter_id": number, "parameters": {"seed": seed}})


def metric(trial: str, number: int, kind: str, value: float) -> tuple[object, ...]:
    return (4000, trial, str(number), kind, 0, json.dumps(json.dumps({"default": value, "epoch": 1, "epochs": 1})))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "nni-experiments" / "abcd1234"
    (folder / DATABASE).parent.mkdir(parents=True)
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        database.executescript(TABLES)
        events = [
            (1000, "first", "WAITING", parameters(0, 4), None, 0),
            (1000, "second", "WAITING", parameters(1, 5), None, 1),
            (2000, "first", "RUNNING", None, "/trials/first", 0),
            (2000, "second", "RUNNING", None, "/trials/second", 1),
            (9000, "first", "SUCCEEDED", None, "/trials/first", 0),
        ]
        database.executemany("INSERT INTO TrialJobEvent VALUES (?, ?, ?, ?, ?, ?, NULL, NULL)", events)
        # NNI may hand trials each other's parameters; what a metric was measured with is right.
        metrics = [metric("first", 1, "FINAL", 0.75), metric("second", 0, "PERIODICAL", 0.5)]
        database.executemany("INSERT INTO MetricData VALUES (?, ?, ?, ?, ?, ?)", metrics)
        profile = json.dumps({"experimentName": "budgets"})
        database.execute("INSERT INTO ExperimentProfile VALUES (?, 'abcd1234', 12, 0, 0, '', 2, 1)", (profile,))
        database.commit()
    return folder


def test_trials_are_those_of_the_database(folder: Path) -> None:
    document = experiment_document(folder)
    assert (document["id"], document["name"], document["status"]) == ("abcd1234", "budgets", "RUNNING")
    assert (document["best"], document["seconds"]) == ("first", 12)
    first, second = document["trials"]
    assert (first["status"], first["parameters"], first["final"]["default"]) == ("SUCCEEDED", {"seed": 5}, 0.75)
    assert (first["start"], first["finish"]) == (2.0, 9.0)
    assert (second["status"], second["parameters"], second["final"]) == ("RUNNING", {"seed": 4}, {})


def test_the_verb_writes_the_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(folder)]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "report.html")
    assert "75.0 %" in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("view", "wanted"),
    [
        (
            "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS timestamp FROM c",
            "it has views",
        ),
        ("SELECT hex(zeroblob(900000000)) AS timestamp", "it has views"),
    ],
)
def test_a_table_that_is_a_program_is_not_run(folder: Path, view: str, wanted: str) -> None:
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        database.executescript(f"DROP TABLE MetricData; CREATE VIEW MetricData AS {view};")
    with pytest.raises(SettingError, match=wanted):
        experiment_document(folder)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("ExperimentProfile", "params", "[]"),
        ("ExperimentProfile", "params", "[" * 100_000),
        ("ExperimentProfile", "revision", "many"),
        ("TrialJobEvent", "data", "1"),
        ("TrialJobEvent", "sequenceId", None),
        ("TrialJobEvent", "event", 7),
        ("TrialJobEvent", "trialJobId", b"\xff"),
        ("MetricData", "data", "1e999"),
        ("MetricData", "data", '{"default": "x"}'),
        ("MetricData", "parameterId", float("inf")),
        ("MetricData", "timestamp", "then"),
    ],
)
def test_values_of_another_kind_are_shown_or_refused(folder: Path, table: str, column: str, value: object) -> None:
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        database.execute(f"UPDATE {table} SET {column} = ?", (value,))
        database.commit()
    refused = ""
    try:
        assert json.dumps(experiment_document(folder))
    except SettingError as error:
        refused = str(error)
    assert not refused or refused.startswith(f"{folder.resolve() / DATABASE}: not the database of an NNI experiment")


def test_what_is_no_database_is_said(folder: Path) -> None:
    (folder / DATABASE).write_bytes(b"no database" * 100)
    with pytest.raises(SettingError, match="not the database of an NNI experiment"):
        experiment_document(folder)
