"""Raw requests to a real manager: what a page in the user's browser could send is refused, what NNI sends is not."""

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from idle_experiment import EXPERIMENT, listening_on

from trials.cli import main
from trials.experiments.experiment_file import read_experiment_file
from trials.experiments.manager import environment, free_port, nnictl, running_manager
from trials.experiments.node_options import node_options

JOB = json.dumps({"seed": 5})
UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
UPGRADE["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="


def answer(port: int, method: str, path: str, headers: dict[str, str], body: str = "", host: str = "{local}") -> str:
    """Send a request byte for byte; return the first line of what comes back."""
    lines = [f"{method} {path} HTTP/1.1"]
    lines += [f"Host: {each.format(local=f'127.0.0.1:{port}')}" for each in host.split("|") if each]
    lines += [f"{name}: {value.format(local=f'127.0.0.1:{port}')}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    if "Connection" not in headers:
        lines.append("Connection: close")
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", body]).encode())
        stream = connection.makefile("rb")
        first = stream.readline().decode().strip()
        while first.split()[1:2] == ["100"]:
            stream.readline()
            first = stream.readline().decode().strip()
        return first


def custom_jobs(port: int) -> int:
    """How many jobs NNI was asked for over its port."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(f"GET /api/v1/nni/trial-jobs HTTP/1.0\r\nHost: localhost:{port}\r\n\r\n".encode())
        listed = json.loads(connection.makefile("rb").read().split(b"\r\n\r\n", 1)[1])
    return sum('"parameter_source":"customized"' in "".join(job.get("hyperParameters", [])) for job in listed)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("experiment")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        patch.chdir(folder)
        many = EXPERIMENT.replace("maxTrialNumber: 1", "maxTrialNumber: 1000")  # NNI refuses more jobs than these
        (folder / "experiment.yml").write_text(many)
        with running_manager(read_experiment_file(folder / "experiment.yml"), None, False) as manager:
            yield manager.port


TEXT, FORM = {"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}
IS_JSON = {"Content-Type": "application/json; charset=utf-8"}
API = "/api/v1/nni"
FOREIGN = {
    "another name (DNS rebinding)": ("GET", f"{API}/experiment", {}, "", "evil.example"),
    "another name with the port": ("GET", f"{API}/experiment", {}, "", "evil.example:8080"),
    "a name that begins like this machine's": ("GET", f"{API}/experiment", {}, "", "localhost.evil.example"),
    "a name that ends like this machine's": ("GET", f"{API}/experiment", {}, "", "evil.localhost.example"),
    "an address that contains this one": ("GET", f"{API}/experiment", {}, "", "127.0.0.1.nip.example"),
    "all addresses": ("GET", f"{API}/experiment", {}, "", "0.0.0.0"),
    "a user before the name": ("GET", f"{API}/experiment", {}, "", "localhost@evil.example"),
    "two names": ("GET", f"{API}/experiment", {}, "", "{local}|evil.example"),
    "no name": ("GET", f"{API}/experiment", {}, "", ""),
    "an empty name": ("GET", f"{API}/experiment", {}, "", " "),
    "another name for the page": ("GET", "/", {}, "", "evil.example"),
    "another name for the logs": ("GET", "/logs/nnimanager.log", {}, "", "evil.example"),
    "another origin": ("GET", f"{API}/experiment", {"Origin": "http://evil.example"}, "", "{local}"),
    "an origin of another scheme": ("GET", f"{API}/experiment", {"Origin": "https://{local}"}, "", "{local}"),
    "an origin of another port": ("GET", f"{API}/experiment", {"Origin": "http://127.0.0.1:1"}, "", "{local}"),
    "no origin of its own (a sandbox, a file)": ("GET", f"{API}/experiment", {"Origin": "null"}, "", "{local}"),
    "a preflight": ("OPTIONS", f"{API}/trial-jobs", {"Origin": "http://evil.example"}, "", "{local}"),
    "another origin with JSON": (
        "POST",
        f"{API}/trial-jobs",
        {**IS_JSON, "Origin": "http://e.example"},
        JOB,
        "{local}",
    ),
    "text": ("POST", f"{API}/trial-jobs", TEXT, JOB, "{local}"),
    "a form": ("POST", f"{API}/trial-jobs", FORM, JOB, "{local}"),
    "no type": ("POST", f"{API}/trial-jobs", {}, JOB, "{local}"),
    "nothing at all": ("POST", f"{API}/trial-jobs", {}, "", "{local}"),
    "JSON in the name of the type only": ("POST", f"{API}/trial-jobs", {"Content-Type": "text/json"}, JOB, "{local}"),
    "a type that begins like JSON": (
        "POST",
        f"{API}/trial-jobs",
        {"Content-Type": "application/jsonx"},
        JOB,
        "{local}",
    ),
    "text in pieces": ("PUT", f"{API}/experiment", {**TEXT, "Transfer-Encoding": "chunked"}, "", "{local}"),
    "text to PUT": ("PUT", f"{API}/experiment?update_type=TRIAL_CONCURRENCY", TEXT, JOB, "{local}"),
    "text to DELETE": ("DELETE", f"{API}/experiment", TEXT, JOB, "{local}"),
    "deletion from another origin": ("DELETE", f"{API}/experiment", {"Origin": "http://e.example"}, "", "{local}"),
    "an image of another site": (
        *("GET", f"{API}/experiment"),
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        *("", "{local}"),
    ),
    "another port's page": ("GET", f"{API}/experiment", {"Sec-Fetch-Site": "same-site"}, "", "{local}"),
    "a frame in another site": (
        *("GET", "/"),
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
        *("", "{local}"),
    ),
    "a form of another site": (
        *("POST", f"{API}/trial-jobs"),
        {**IS_JSON, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        *(JOB, "{local}"),
    ),
    "a WebSocket of another origin": ("GET", "/tuner", {**UPGRADE, "Origin": "http://evil.example"}, "", "{local}"),
    "a WebSocket by another name": ("GET", "/tuner", UPGRADE, "", "evil.example"),
    "text after asking to go on": ("POST", f"{API}/trial-jobs", {**TEXT, "Expect": "100-continue"}, JOB, "{local}"),
    "scripts of netron.app": ("GET", "/netron/index.html", {}, "", "{local}"),
    "scripts of netron.app in capitals": ("GET", "/NETRON/index.js?x", {}, "", "{local}"),
}
OWN = {
    "the page": ("GET", "/", {}, "", "{local}"),
    "the page by name": ("GET", "/", {}, "", "localhost:9999"),
    "the page through IPv6": ("GET", "/", {}, "", "[::1]:8080"),
    "a link from elsewhere": (
        *("GET", "/"),
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        *("", "{local}"),
    ),
    "the page's own request": (
        *("GET", f"{API}/experiment"),
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://{local}"},
        *("", "{local}"),
    ),
    "NNI's command line": ("GET", f"{API}/check-status", {}, "", "localhost:80"),
    "a trial's report": ("PUT", "/env/none/x", IS_JSON, json.dumps({"type": "ping"}), "{local}"),
    "a deletion": ("DELETE", f"{API}/tensorboard-tasks", {}, "", "{local}"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(FOREIGN))
def test_what_a_foreign_page_sends_is_refused(port: int, kind: str) -> None:
    assert answer(port, *FOREIGN[kind]) == "HTTP/1.1 403 Forbidden"


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(OWN))
def test_what_nni_sends_is_answered(port: int, kind: str) -> None:
    assert answer(port, *OWN[kind]).split()[1] != "403"


@pytest.mark.slow
def test_a_job_is_still_created_by_nni_itself(port: int) -> None:
    assert answer(port, "POST", f"{API}/trial-jobs", IS_JSON, JOB).split()[1] == "200"
    deadline = time.monotonic() + 30
    while not custom_jobs(port) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert custom_jobs(port) == 1


@pytest.mark.slow
def test_nnictl_itself_is_as_safe_after_one_line_in_the_shell(tmp_path: Path) -> None:
    (tmp_path / "experiment.yml").write_text(EXPERIMENT)
    number = free_port()
    variables = {**os.environ, "HOME": str(tmp_path)}
    variables.pop("NODE_OPTIONS", None)
    python = shlex.quote(sys.executable)
    create = " ".join(map(shlex.quote, nnictl("create", "--config", "experiment.yml", "--port", str(number))))
    script = f'eval "$({python} -m trials.cli env)" && eval "$({python} -m trials.cli env)" && exec {create}'
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=120, check=False
    )
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        assert listening_on(number) == {"127.0.0.1"}
        assert answer(number, *FOREIGN["text"]) == "HTTP/1.1 403 Forbidden"
        assert answer(number, *FOREIGN["another name (DNS rebinding)"]) == "HTTP/1.1 403 Forbidden"
        assert answer(number, *OWN["the page"]).split()[1] == "200"
    finally:
        subprocess.run(nnictl("stop", "--all"), env={**environment(local=True), "HOME": str(tmp_path)}, check=True)


@pytest.mark.slow
def test_a_manager_that_is_open_to_other_machines_refuses_pages_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiment.yml").write_text(EXPERIMENT)
    with running_manager(read_experiment_file(tmp_path / "experiment.yml"), None, True) as manager:
        for kind in ("another origin with JSON", "text", "a WebSocket of another origin"):
            assert answer(manager.port, *FOREIGN[kind]) == "HTTP/1.1 403 Forbidden"
        assert answer(manager.port, *FOREIGN["another name (DNS rebinding)"]).split()[1] == "200"  # docs/security.md


def test_options_are_added_once_and_kept() -> None:
    once = node_options("--max-old-space-size=100")
    assert once.startswith("--max-old-space-size=100 --require ")
    assert node_options(once) == once
    assert node_options("").count("--require") == 2
    assert node_options("", everywhere=True).count("--require") == 1


def test_other_programs_of_node_are_left_alone(tmp_path: Path) -> None:
    import nni_node

    node = Path(next(iter(nni_node.__path__))) / "node"
    (tmp_path / "server.js").write_text(
        "const s = require('http').createServer((q, r) => r.end('ok')).listen(0, () => {\n"
        "  console.log(s.address().address);\n"
        "  require('http').get({port: s.address().port, headers: {Host: 'any.example'}}, (r) => {\n"
        "    console.log(r.statusCode); s.close(); });\n"
        "});\n"
    )
    done = subprocess.run(
        [node, tmp_path / "server.js"],
        env={**os.environ, "NODE_OPTIONS": node_options("")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    address, status = done.stdout.split()
    assert address in ("::", "0.0.0.0")
    assert status == "200"


def test_the_line_for_the_shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NODE_OPTIONS", raising=False)
    assert main(["env"]) == 0
    line = capsys.readouterr().out
    words = shlex.split(line)
    assert words[0] == "export"
    assert words[1] == f"NODE_OPTIONS={node_options('')}"
