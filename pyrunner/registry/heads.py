"""A limit for the head of an answer: a server that drips status and headers must not hold us.

The time limit of a socket is for one read, and a byte now and then keeps it satisfied for ever; so
do interim answers without end. Bodies have a limit of their own, see `transport.Response`.
"""

import functools
import http.client
import time
from typing import Any

import urllib3
import urllib3.connection
import urllib3.connectionpool


def limit_heads(manager: urllib3.PoolManager, limit_s: float) -> None:
    """Make every answer over this manager's future connections have its head within `limit_s`."""
    response_class = functools.partial(_Response, limit_s=limit_s)

    class _Http(urllib3.connection.HTTPConnection):
        pass

    class _Https(urllib3.connection.HTTPSConnection):
        pass

    class _HttpPool(urllib3.connectionpool.HTTPConnectionPool):
        ConnectionCls = _Http

    class _HttpsPool(urllib3.connectionpool.HTTPSConnectionPool):
        ConnectionCls = _Https

    for each in (_Http, _Https):
        each.response_class = response_class  # type: ignore[assignment]  # it is only called
    manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


class _Response(http.client.HTTPResponse):
    def __init__(self, *args: Any, limit_s: float, **kwargs: Any) -> None:
        self._limit_s = limit_s
        super().__init__(*args, **kwargs)

    def begin(self) -> None:
        """Read the head, in time."""
        body = self.fp
        self.fp = _Head(body, time.monotonic() + self._limit_s)  # type: ignore[assignment]
        super().begin()
        if self.fp is not None:  # it is None, and closed, when there is no body
            self.fp = body


class _Head:
    """A buffered file read line by line, with an end in time."""

    def __init__(self, file: Any, deadline: float) -> None:
        self._file = file
        self._deadline = deadline

    def readline(self, limit: int) -> bytes:
        """The next line, at most `limit` bytes of it.

        Raises:
            TimeoutError: The deadline has passed.
        """
        line = bytearray()
        while len(line) < limit and not line.endswith(b"\n"):
            if time.monotonic() > self._deadline:
                raise TimeoutError("the head of the answer takes too long")
            ready = self._file.peek(1)  # one read of the socket, which has its own time limit
            if not ready:
                break
            n_wanted = min(limit - len(line), ready.find(b"\n") + 1 or len(ready))
            line += self._file.read(n_wanted)
        return bytes(line)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def flush(self) -> None:
        """Nothing: it is read only."""
