"""What happens around every request besides security: cleaned paths before, one log line after."""

import logging
from time import monotonic

import falcon

from pyrunner import log
from pyrunner.server.paths import clean_path

_logger = log.get("server")
_STARTED = "started_s"


class PathMiddleware:
    """Cleans the path before it is routed."""

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """In place: no redirect, because clients send bodies to such paths."""
        req.path = clean_path(req.path)


class AccessLog:
    """Logs one line per request, when its answer begins."""

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Remember when it came."""
        setattr(req.context, _STARTED, monotonic())

    def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        _resource: object,
        _req_succeeded: bool,  # noqa: FBT001  # Falcon's signature
    ) -> None:
        """Health checks come every second and are debug."""
        level = logging.DEBUG if req.path in ("/", "/healthz") else logging.INFO
        elapsed_ms = 1000 * (monotonic() - getattr(req.context, _STARTED))
        _logger.log(level, "%s %s %s %.0f ms", req.method, req.path, resp.status_code, elapsed_ms)
