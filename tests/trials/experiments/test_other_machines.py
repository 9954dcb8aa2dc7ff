"""Machines of an experiment file; what cannot be fetched from them says so. Real servers: tests/machines."""

import json
from pathlib import Path, PurePosixPath

import pytest

from snas_nni.errors import SettingError
from trials.experiments.experiment_file import read_experiment_file
from trials.experiments.manager import free_port
from trials.experiments.other_machines import FetchError, RemoteMachine, fetch, on_loopback, place_of, trial_lines
from trials.experiments.trial_records import trial_records


def written(folder: Path, hosts: list[str], manager: str = "127.0.0.1") -> Path:
    key = folder / "key"
    key.write_text("")
    (folder / "code").mkdir()
    document = {
        "trialCommand": "snas-nni search",
        "trialCodeDirectory": "code",
        "trialConcurrency": 1,
        "searchSpace": {},
        "nniManagerIp": manager,
        "tuner": {"name": "Random"},
        "trainingService": {
            "platform": "remote",
            "machineList": [
                {"host": host, "port": 2200 + number, "user": "search", "sshKeyFile": str(key)}
                for number, host in enumerate(hosts)
            ],
        },
    }
    path = folder / "experiment.yml"
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("hosts", "manager", "within"),
    [
        (["127.0.0.2", "127.0.0.3"], "127.0.0.1", True),
        (["127.0.0.2", "192.0.2.11"], "127.0.0.1", False),
        (["127.0.0.2"], "192.0.2.10", False),
    ],
)
def test_machines_are_those_of_the_file(tmp_path: Path, hosts: list[str], manager: str, within: bool) -> None:
    path = written(tmp_path, hosts, manager)
    (tmp_path / "code" / "space.py").write_text("")
    file = read_experiment_file(path)
    assert [machine.host for machine in file.machines] == hosts
    assert str(file.machines[0]) == f"search@{hosts[0]}:2200"
    assert file.machines[0].key == tmp_path / "key"
    assert not file.local
    assert file.within is within  # else --listen-everywhere has to be given


def test_a_folder_with_nothing_to_send_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="trialCodeDirectory .* is empty"):
        read_experiment_file(written(tmp_path, ["127.0.0.2"]))


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("10.0.0.1", False),
     ("localhost.example", False), (None, False)],
)  # fmt: skip
def test_loopback(host: str | None, own: bool) -> None:
    assert on_loopback(host) is own


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("file://127.0.0.2:/tmp/nni/envs/a", ("127.0.0.2", "/tmp/nni/envs/a")),
        ("file://[::1]:/a", ("[::1]", "/a")),
        ("file://localhost", None),
        ("http://127.0.0.1:8080/", None),
        (None, None),
    ],
)
def test_the_place_of_a_trial(url: object, place: tuple[str, str] | None) -> None:
    assert place_of(url) == place


def test_a_trial_of_a_resumed_experiment_has_not_ended() -> None:
    job = {"trialJobId": "a", "sequenceId": 0, "status": "ADD_RESUMED", "logPath": "file://127.0.0.2:/tmp/a"}
    (record,) = trial_records([job], [])
    assert not record.ended
    assert (record.host, record.place) == ("127.0.0.2", "/tmp/a")


def test_what_cannot_be_fetched_says_why_and_how_to_do_it_by_hand(tmp_path: Path) -> None:
    def reason(*machines: RemoteMachine, folder: str = "/tmp/child") -> str:
        with pytest.raises(FetchError) as caught:
            fetch(machines, PurePosixPath(folder), ["a"], tmp_path / "here", tmp_path / "known_hosts")
        return str(caught.value)

    port = free_port()
    silent = RemoteMachine("127.0.0.2", port, "search", tmp_path / "key")
    by_hand = f"fetch them by hand: scp -P {port} -r search@127.0.0.2:/tmp/child ."
    assert "Connection refused" in reason(silent) or "Connection closed" in reason(silent)
    assert by_hand in reason(silent)
    assert "a password cannot be used" in reason(RemoteMachine("127.0.0.2", port, "search", None))
    assert "names no such machine" in reason()
    assert "unusual name" in reason(silent, folder='/tmp/"\n!touch /tmp/x')
    assert not (tmp_path / "here").exists()


def test_what_a_trial_printed_is_told_from_what_its_runner_did() -> None:
    text = """\
[2026-11-29 17:53:20.1] INFO first: spawns a subprocess (pid 7) to run command: ['a']
done
[2026-11-29 17:53:26.1] INFO first: subprocess terminated. Exit code is 0.
[2026-11-29 17:53:28.4] INFO second: start to run trial
[2026-11-29 17:53:28.5] INFO second: spawns a subprocess (pid 8) to run command: ['a']
results go to x
error: no such thing
[2026-11-29 17:53:39.4] INFO second: subprocess terminated. Exit code is 2.
Exception in thread
"""
    assert trial_lines(text, "second") == "results go to x\nerror: no such thing"
    assert trial_lines(text, "first") == "done"
    assert trial_lines(text, "fir") == ""
    assert trial_lines(text.partition("error")[0], "second") == "results go to x"
