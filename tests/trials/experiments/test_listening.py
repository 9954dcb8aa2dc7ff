"""Who can reach NNI's manager, read from the kernel's own table of listening sockets."""

import socket
from pathlib import Path

import pytest
from idle_experiment import EXPERIMENT, listening_on

from trials.experiments.experiment_file import read_experiment_file
from trials.experiments.launch import LaunchOptions, launch
from trials.experiments.manager import running_manager


def test_the_table_is_read_as_it_is_meant() -> None:
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as server:
            try:
                server.bind((address, 0))
            except OSError:  # a machine without IPv6
                continue
            server.listen()
            assert listening_on(server.getsockname()[1]) == {address}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("everywhere", "expected"), [(False, {"127.0.0.1"}), (True, {"0.0.0.0", "::"})], ids=["as it is", "when told so"]
)
def test_the_manager_listens_on_loopback_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, everywhere: bool, expected: set[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiment.yml").write_text(EXPERIMENT)
    file = read_experiment_file(tmp_path / "experiment.yml")
    with running_manager(file, None, everywhere) as manager:
        found = listening_on(manager.port)
        assert found
        assert found <= expected
        assert manager.get("check-status")["status"] in ("INITIALIZED", "RUNNING")
    assert listening_on(manager.port) == set()


def test_opening_it_is_said_to_be_dangerous(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "experiment.yml").write_text(EXPERIMENT)

    class StopHereError(Exception):
        pass

    def nothing_starts(*arguments: object) -> None:
        raise StopHereError

    monkeypatch.setattr("trials.experiments.launch.running_manager", nothing_starts)
    with pytest.raises(StopHereError):
        launch(tmp_path / "experiment.yml", LaunchOptions(tmp_path / "runs", listen_everywhere=True))
    assert "warning: everyone who reaches this machine's port can start programs on it" in capsys.readouterr().out
