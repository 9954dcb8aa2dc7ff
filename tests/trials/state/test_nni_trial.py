"""What a trial asks the experiment when it runs again."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from trials.state.nni_trial import reported_metrics

METRICS = [{"trialJobId": "AbC", "type": "PERIODICAL", "sequence": 0}, {"trialJobId": "xyz", "type": "FINAL"}]


@pytest.fixture
def manager():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/prefix/api/v1/nni/metric-data/AbC" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(METRICS).encode())

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/prefix"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_manager_is_asked_for_the_trials_own_metrics(manager: str) -> None:
    assert reported_metrics(f"{manager}/env/local-env/AbC", "AbC") == METRICS[:1]


def test_none_where_it_cannot_be_asked(manager: str) -> None:
    assert reported_metrics(f"{manager}/env/local-env/AbC", "other") is None  # 404
    assert reported_metrics(None, "AbC") is None
    assert reported_metrics("http://127.0.0.1:1/env/local-env/AbC", "AbC") is None
    assert reported_metrics("file:///env/x", "AbC") is None
