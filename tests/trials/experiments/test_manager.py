"""The manager's port, before anything is started."""

import socket

import pytest

from snas_nni.errors import SettingError
from trials.experiments.manager import free_port, refuse_used_port


def test_a_port_in_use_is_refused_and_a_free_one_is_not() -> None:
    refuse_used_port(free_port())
    for address in ("127.0.0.1", "0.0.0.0"):
        with socket.create_server((address, 0)) as server:
            port = server.getsockname()[1]
            with pytest.raises(SettingError, match=f"--port {port}: cannot listen on it: Address already in use"):
                refuse_used_port(port)
        refuse_used_port(port)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_what_is_no_port(port: int) -> None:
    with pytest.raises(SettingError, match=f"--port {port}: ports are from 1"):
        refuse_used_port(port)
