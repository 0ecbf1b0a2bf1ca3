"""The registry's face behind the real waitress: files without threads, leases, fair turns."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.artifacts import add
from support.live_server import Live, running
from support.waits import until

from pyrunner.server import admission

BIG = bytes(range(256)) * (128 * 1024)
"""32 MiB: more than the sockets of a connection hold."""


@pytest.fixture
def live(home: Path) -> Iterator[Live]:
    with running(home, server_registry=True) as server:
        yield server


@pytest.fixture
def blob(live: Live) -> str:
    layer = add(live.api.store, "ai/big:v1", BIG).manifest.layers[0]
    return f"/v2/ai/big/blobs/{layer.digest}"


def _leases(live: Live) -> int:
    return len(list((live.api.store.path / ".pyrunner" / "leases").iterdir()))


def _n_active(live: Live) -> int:
    return live.api.application.dependencies.admission.blobs.n_active


def test_blob_arrives_whole_and_its_lease_ends(live: Live, blob: str) -> None:
    with closing(live.tcp()) as connection:
        connection.request("GET", blob)
        response = connection.getresponse()
        assert response.getheader("Content-Length") == str(len(BIG))
        assert response.read() == BIG
        until(lambda: (_leases(live), _n_active(live)) == (0, 0))


def test_range_arrives_on_a_connection_that_stays_open(live: Live, blob: str) -> None:
    with closing(live.tcp()) as connection:
        for start in (0, 12_345_678, len(BIG) - 5):
            connection.request("GET", blob, headers={"Range": f"bytes={start}-"})
            response = connection.getresponse()
            assert (response.status, response.read()) == (206, BIG[start:])
            assert not response.will_close


def test_head_of_a_blob_keeps_the_connection(live: Live, blob: str) -> None:
    with closing(live.tcp()) as connection:
        connection.request("HEAD", blob)
        response = connection.getresponse()
        assert response.read() == b""
        assert response.getheader("Content-Length") == str(len(BIG))
        assert not response.will_close


def test_slow_reader_keeps_the_blob_until_it_has_gone(live: Live, blob: str) -> None:
    slow = live.raw()
    slow.sendall(f"GET {blob} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert slow.recv(12) == b"HTTP/1.1 200"
    live.api.store.remove("ai/big:v1")
    path = live.api.store.blobs.path(blob.rpartition("/")[2])
    assert path.is_file()
    slow.close()
    until(lambda: (_leases(live), _n_active(live)) == (0, 0))
    live.api.store.collect()
    assert not path.exists()


def test_health_answers_while_every_place_for_blobs_is_taken(live: Live, blob: str) -> None:
    slow = [live.raw() for _ in range(admission.N_BLOBS)]
    for each in slow:
        each.sendall(f"GET {blob} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert each.recv(12) == b"HTTP/1.1 200"
    with closing(live.tcp()) as connection:
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
    with closing(live.tcp()) as connection:
        connection.request("GET", blob)
        refused = connection.getresponse()
        assert (refused.status, refused.getheader("Retry-After")) == (429, "1")
        assert json.load(refused)["errors"][0]["code"] == "TOOMANYREQUESTS"
    for each in slow:
        each.close()
    until(lambda: _n_active(live) == 0)
