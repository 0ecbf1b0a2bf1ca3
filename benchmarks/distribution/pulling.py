"""A pull through the API of a running server."""

import http
import json
import time

from measuring.programs import MeasurementError
from measuring.serving import Server


def timed_pull_s(server: Server, reference: str) -> float:
    """Seconds from the request for a pull to its last event.

    Raises:
        MeasurementError: That event is no success.
    """
    begin = time.perf_counter()
    status, text = server.post("/models/create", {"from": reference})
    elapsed_s = time.perf_counter() - begin
    last = text.splitlines()[-1] if text else ""
    if status != http.HTTPStatus.OK or json.loads(last)["type"] != "success":
        raise MeasurementError(f"The server did not pull {reference}: {status} {last}")
    return elapsed_s
