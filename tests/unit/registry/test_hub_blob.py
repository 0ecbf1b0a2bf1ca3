"""Where the hub is, and a file of it as a source of ranges."""

import threading

import pytest
from support.recording import ImpatientClient
from support.scripted_hub import scripted_hub

from pyrunner.errors import ConfigError, RegistryProtocolError, RegistryUnavailableError
from pyrunner.registry.hugging_face import HubBlob, HuggingFace


@pytest.fixture
def hub():
    with scripted_hub() as hub:
        hub.add("Org/Repo").commit({"some folder/a b.gguf": b"0123456789"})
        yield hub


@pytest.fixture
def blob(hub, tmp_path):
    environment = {"HF_ENDPOINT": f"http://{hub.host}", "HF_HOME": str(tmp_path)}
    with ImpatientClient() as client:
        asked = HuggingFace(client, environment.get)
        revision = asked.revision("org/repo")
        [file] = asked.files(revision)
        yield HubBlob(asked, revision, file)


@pytest.mark.parametrize(
    ("first", "last", "status", "expected"),
    [
        (0, None, 200, b"0123456789"),
        (0, 3, 206, b"0123"),
        (4, 6, 206, b"456"),
        (7, None, 206, b"789"),
    ],
)
def test_bytes_come_from_the_content_host(blob, first, last, status, expected):
    with blob.open(first, last, threading.Event()) as response:
        assert (response.status, response.read(100)) == (status, expected)


def test_refusal_of_the_content_host_is_not_the_hubs(hub, blob):
    hub.content.faults["cdn"] = [lambda handler: handler.reply(403)]
    with pytest.raises(RegistryProtocolError, match="HTTP 403 of the host that it redirects to"):
        blob.open(0, None, threading.Event())


def test_pause_ends_when_cancelled(blob):
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(RegistryUnavailableError, match="cancelled"):
        blob.pause(1, cancelled)


@pytest.mark.parametrize(
    "endpoint",
    ["ftp://x", "http://hub.example", "https://", "https://me:pw@hub.example", "x", "http://["],
)
def test_endpoint_that_is_none_is_refused(endpoint):
    with ImpatientClient() as client, pytest.raises(ConfigError, match="HF_ENDPOINT"):
        HuggingFace(client, {"HF_ENDPOINT": endpoint}.get)
