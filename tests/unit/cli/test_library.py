import json

import pytest
from support.api_server import listening

from pyrunner.cli import address
from pyrunner.cli.client import Client
from pyrunner.cli.lent_token import lent_token
from pyrunner.cli.library import ServerLibrary, read_progress, split_tag
from pyrunner.errors import (
    InvalidParameterError,
    InvalidReferenceError,
    ModelNotFoundError,
    ServerAnswerError,
)

PROGRESS = {
    "type": "progress",
    "message": "Downloaded: 1.00 MB",
    "total": 2,
    "layer": {"id": "sha256:ab", "size": 2, "current": 1},
    "mode": "pull",
}
SUCCESS = {"type": "success", "message": "Model pulled successfully", "mode": "pull"}


def _lines(*values: object) -> list[str]:
    return [json.dumps(value) for value in values]


@pytest.fixture
def server():
    with listening() as script:
        yield script


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("x", ("x", "latest")),
        ("x:v1", ("x", "v1")),
        ("ai/x:", ("ai/x", "latest")),
        ("localhost:5000/x", ("localhost:5000/x", "latest")),
        ("localhost:5000/x/y:2", ("localhost:5000/x/y", "2")),
    ],
)
def test_split_tag(target, parts):
    assert split_tag(target) == parts


def test_read_progress_hands_over_every_line():
    got: list[object] = []
    read_progress(_lines(PROGRESS, SUCCESS), got.append)
    assert got == [PROGRESS, SUCCESS]


def test_read_progress_with_an_error_line_raises_its_text():
    error = {"type": "error", "message": "Error: disk full"}
    with pytest.raises(ServerAnswerError, match=r"^disk full$"):
        read_progress(_lines(PROGRESS, error), lambda _: None)


@pytest.mark.parametrize(
    "lines", [[], _lines(PROGRESS), _lines(SUCCESS, PROGRESS)], ids=["empty", "half", "after"]
)
def test_read_progress_without_success_raises_and_says_what_to_do(lines):
    with pytest.raises(ServerAnswerError, match="again"):
        read_progress(lines, lambda _: None)


def test_read_progress_of_no_json_passes_the_text_on():
    with pytest.raises(ServerAnswerError, match="502 Bad Gateway"):
        read_progress(["<h1>502 Bad Gateway</h1>", "[1]", "7"], lambda _: None)


def test_pull_asks_for_json_lines(server):
    server.answer("POST /models/create", SUCCESS)
    got: list[object] = []
    ServerLibrary(Client(server.address)).pull("ai/x", got.append)
    assert got == [SUCCESS]
    assert server.seen[0].headers["Accept"] == "application/json"
    assert server.seen[0].body == {"from": "ai/x"}


@pytest.mark.parametrize(
    ("reference", "sent"),
    [
        ("hf.co/org/model:Q4_K_M", {"bearer-token": "hf_mine"}),
        ("HuggingFace.co/org/model", {"bearer-token": "hf_mine"}),
        ("ai/x", {}),
        ("hf.co.example/org/model", {}),
    ],
)
def test_pull_from_the_hub_lends_the_callers_token(server, monkeypatch, reference, sent):
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    server.answer("POST /models/create", SUCCESS)
    client = Client(server.address)
    told: list[str] = []
    client.tell_requests(told.append)
    ServerLibrary(client).pull(reference, lambda _: None)
    assert server.seen[0].body == {"from": reference} | sent
    assert "hf_mine" not in told[0]


@pytest.mark.parametrize(
    ("host", "is_sent"),
    [
        ("unix:///run/x.sock", True),
        ("http://127.0.0.1:12434", True),
        ("https://models.example", True),
        ("http://models.example", False),
    ],
)
def test_token_is_not_lent_in_clear_through_a_network(monkeypatch, host, is_sent):
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    assert lent_token("hf.co/org/model", address.parse(host)) == ("hf_mine" if is_sent else None)


def test_pull_of_an_unknown_model_names_it_and_the_registry(server):
    with pytest.raises(ModelNotFoundError) as caught:
        ServerLibrary(Client(server.address)).pull("ai/none", lambda _: None)
    assert (caught.value.reference, caught.value.where) == ("ai/none", "registry")


def test_inspect_of_an_unknown_model_names_it_and_the_store(server):
    with pytest.raises(ModelNotFoundError) as caught:
        ServerLibrary(Client(server.address)).inspect("ai/none")
    assert (caught.value.reference, caught.value.where) == ("ai/none", "store")


def test_tag_sends_name_and_tag_apart(server):
    server.answer("POST /models/ai/x/tag", {})
    ServerLibrary(Client(server.address)).tag("ai/x", "localhost:5000/y:2")
    assert server.seen[0].path == "/models/ai/x/tag?repo=localhost%3A5000%2Fy&tag=2"


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("bad name", InvalidReferenceError),
        (f"y@sha256:{'0' * 64}", InvalidParameterError),
        ("0123456789ab", InvalidParameterError),
    ],
)
def test_tag_that_is_no_name_is_refused_before_anything_is_sent(server, target, error):
    with pytest.raises(error) as caught:
        ServerLibrary(Client(server.address)).tag("ai/x", target)
    assert target in caught.value.sentence
    assert server.seen == []


def test_stranger_without_the_route_is_not_taken_for_a_runner_without_the_model(server):
    page = {"status": 404, "content_type": "text/plain", "chunks": [b"404 page not found\n"]}
    server.answer("POST /models/create", **page)
    with pytest.raises(ServerAnswerError, match="Is it a model runner"):
        ServerLibrary(Client(server.address)).pull("ai/x", lambda _: None)


def test_remove_with_force_says_so(server):
    server.answer("DELETE /models/ai/x", [{"Untagged": "docker.io/ai/x:latest"}])
    removed = ServerLibrary(Client(server.address)).remove("ai/x", is_forced=True)
    assert removed == [{"Untagged": "docker.io/ai/x:latest"}]
    assert server.seen[0].path.endswith("?force=true")


@pytest.mark.parametrize(
    "call",
    [
        lambda models: models.inspect(""),
        lambda models: models.remove(" ", is_forced=False),
        lambda models: models.push("", print),
        lambda models: models.pull("", print),
        lambda models: models.tag("", "x"),
        lambda models: models.tag("x", ""),
    ],
    ids=["inspect", "remove", "push", "pull", "tag-source", "tag-target"],
)
def test_an_empty_name_is_refused_before_it_means_all_models(server, call):
    with pytest.raises(InvalidReferenceError, match="it is empty"):
        call(ServerLibrary(Client(server.address)))
    assert not server.seen


def test_reference_that_the_server_refuses_is_pointed_at_here(server):
    refusal = {"error": {"message": "Invalid model reference", "code": "invalid_reference"}}
    server.answer("POST /models/create", refusal, status=400)
    with pytest.raises(InvalidReferenceError) as caught:
        ServerLibrary(Client(server.address)).pull("ai/x:$", lambda _: None)
    assert caught.value.at == 5


def test_reference_that_only_the_server_refuses_keeps_its_words(server):
    refusal = {"error": {"message": "Invalid model reference", "code": "invalid_reference"}}
    server.answer("POST /models/create", refusal, status=400)
    with pytest.raises(ServerAnswerError, match="Invalid model reference"):
        ServerLibrary(Client(server.address)).pull("ai/x", lambda _: None)
