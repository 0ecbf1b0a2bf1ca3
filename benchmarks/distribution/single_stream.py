"""Reads files or URLs one after the other, hashes and writes them, and makes the copy durable.

``python single_stream.py FOLDER SOURCE...``: the least that a pull has to do, in one process, on
one thread and, for URLs, over one connection that is kept.
"""

import hashlib
import http.client
import os
import sys
import urllib.parse
from pathlib import Path
from typing import BinaryIO, Protocol

_CHUNK_BYTES = 1024 * 1024


class _Source(Protocol):
    def readinto(self, buffer: memoryview, /) -> int | None: ...


def main() -> None:
    """Copy; prints a digest per source."""
    folder, *sources = sys.argv[1:]
    Path(folder).mkdir()
    connection: http.client.HTTPConnection | None = None
    for i_source, text in enumerate(sources):
        with (Path(folder) / str(i_source)).open("wb", buffering=0) as target:
            url = urllib.parse.urlsplit(text)
            if url.scheme == "http":
                connection = connection or http.client.HTTPConnection(url.netloc)
                connection.request("GET", url.path)
                digest = _copy(_opened(connection), target)
            else:
                with Path(text).open("rb", buffering=0) as file:
                    digest = _copy(file, target)
        print(digest)
    if connection is not None:
        connection.close()
    at = os.open(folder, os.O_RDONLY)
    os.fsync(at)
    os.close(at)


def _opened(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    response = connection.getresponse()
    if response.status != 200:
        raise SystemExit(f"the registry answered {response.status}")
    return response


def _copy(source: _Source, target: BinaryIO) -> str:
    hashed = hashlib.sha256()
    buffer = memoryview(bytearray(_CHUNK_BYTES))
    while n_bytes := source.readinto(buffer):
        hashed.update(buffer[:n_bytes])
        n_written = 0
        while n_written < n_bytes:
            n_written += target.write(buffer[n_written:n_bytes])
    os.fsync(target.fileno())
    return f"sha256:{hashed.hexdigest()}"


if __name__ == "__main__":
    main()
