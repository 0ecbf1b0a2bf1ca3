"""Is it there, which version, and does it take work."""

import falcon

from pyrunner import __version__
from pyrunner.server.admission import Admission
from pyrunner.server.errors import TEXT, respond_json

GREETING = "Docker Model Runner is running\n\nThe service is running.\n"
"""Docker's clients look for the first sentence, Testcontainers waits for the second."""


class Greeting:
    """``/``."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Say so."""
        resp.content_type = TEXT
        resp.text = GREETING

    on_head = on_get


class Version:
    """``/version``, whatever the method, as Docker Model Runner has it."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """This package's version."""
        respond_json(resp, 200, {"version": __version__})

    on_head = on_get
    on_post = on_get


class Health:
    """``/healthz``: 200 while new work is taken, 503 while the server drains."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Cost nothing and touch nothing."""
        if self._admission.is_draining:
            respond_json(resp, 503, {"status": "draining"})
        else:
            respond_json(resp, 200, {"status": "ok"})

    on_head = on_get
