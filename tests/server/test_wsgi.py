"""The application under WSGI servers other than waitress."""

import io
import json
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from support.api import CHAT, make_api
from support.live_server import PATIENCE_S

from pyrunner import config, wsgi
from pyrunner.errors import ConfigError
from pyrunner.types import TextEvent


class Quiet(WSGIRequestHandler):
    def log_message(self, *_args: object) -> None:
        pass


class Threaded(ThreadingMixIn, WSGIServer):
    pass


def test_import_reads_no_settings_and_touches_no_disk(tmp_path: Path) -> None:
    program = "import pyrunner.wsgi, threading; assert threading.active_count() == 1"
    home = tmp_path / "home"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYRUNNER_HOME": str(home), "PYRUNNER_SERVER_PORT": "nonsense"},
        cwd=Path(wsgi.__file__).parents[1],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not home.exists()


def test_first_request_reads_the_settings_and_names_a_wrong_one(tmp_path: Path) -> None:
    environment = {"PYRUNNER_HOME": str(tmp_path), "PYRUNNER_SERVER_PORT": "nonsense"}
    app = wsgi.LazyApp(lambda: config.load({}, environment))
    with pytest.raises(ConfigError, match=r"server\.port"):
        app({}, None)


def test_app_serves_under_the_servers_of_the_standard_library(tmp_path: Path) -> None:
    app = wsgi.LazyApp(lambda: config.load({}, {"PYRUNNER_HOME": str(tmp_path)}))
    with Threaded(("127.0.0.1", 0), Quiet) as server:
        server.set_app(app)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        root = f"http://127.0.0.1:{server.server_port}"
        try:
            with urllib.request.urlopen(f"{root}/healthz", timeout=PATIENCE_S) as answer:
                assert json.load(answer) == {"status": "ok"}
            with urllib.request.urlopen(f"{root}/v1/models", timeout=PATIENCE_S) as answer:
                assert json.load(answer)["object"] == "list"
        finally:
            server.shutdown()
            thread.join(PATIENCE_S)


def _environ(path: str, body: object) -> dict[str, object]:
    data = json.dumps(body).encode()
    environ: dict[str, object] = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "HTTP_HOST": "localhost",
        "CONTENT_LENGTH": str(len(data)),
        "CONTENT_TYPE": "application/json",
        "QUERY_STRING": "",
        "wsgi.input": io.BytesIO(data),
    }
    setup_testing_defaults(environ)
    return environ


def _call(app: Any, environ: dict[str, object]) -> Any:
    return app(environ, lambda *_: lambda _: None)


def test_closing_the_answer_cancels_the_request(tmp_path: Path) -> None:
    api = make_api(tmp_path)
    api.runtime.script = (TextEvent(text="x"), threading.Event())
    environ = _environ("/v1/chat/completions", CHAT | {"stream": True})
    answer = _call(api.application.wsgi, environ)
    assert b'"role":"assistant"' in next(iter(answer))
    answer.close()
    assert api.runtime.streams[0].closed.is_set()
    assert api.application.dependencies.admission.n_active == 0


def test_closing_an_answer_that_was_never_read_cancels_the_request(tmp_path: Path) -> None:
    api = make_api(tmp_path)
    api.runtime.script = (TextEvent(text="x"), threading.Event())
    environ = _environ("/v1/chat/completions", CHAT | {"stream": True})
    _call(api.application.wsgi, environ).close()
    assert api.runtime.streams[0].closed.is_set()
    assert api.application.dependencies.admission.n_active == 0


@pytest.mark.parametrize("body", [CHAT, CHAT | {"stream": True}, {}], ids=["whole", "sse", "error"])
def test_answers_obey_the_wsgi_specification(tmp_path: Path, body: object) -> None:
    api = make_api(tmp_path)
    environ = _environ("/v1/chat/completions", body)
    answer = _call(validator(api.application.wsgi), environ)
    assert b"".join(answer)
    answer.close()
