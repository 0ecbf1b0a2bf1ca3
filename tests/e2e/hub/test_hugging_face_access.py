"""Tokens for Hugging Face: who sees them, and what a refusal says."""

import pytest
from support.hub_pull import is_empty, pull_model
from support.recording import Told

from pyrunner.config import RegistryConfig
from pyrunner.errors import HubAccessError, HubNotFoundError
from pyrunner.models.transfer import pull
from pyrunner.registry.client import RegistryClient
from pyrunner.registry.credential import GivenToken

pytestmark = pytest.mark.usefixtures("repository")


def test_token_goes_to_the_hub_and_not_to_its_content_host(
    store, client, hub, repository, monkeypatch
):
    repository.token = "hf_secret"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert pull_model(store, client).model.tags
    assert {headers["Authorization"] for _, _, headers in hub.requests} == {"Bearer hf_secret"}
    assert hub.content.requests
    assert not [headers for _, _, headers in hub.content.requests if "Authorization" in headers]


def test_token_that_a_request_brought_comes_first(store, hub, repository, monkeypatch):
    repository.token = "hf_given"
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_server")
    given = GivenToken("huggingface.co", "hf_given")
    with RegistryClient(RegistryConfig(), token=given) as client:
        assert pull_model(store, client).model.tags
    assert {headers["Authorization"] for _, _, headers in hub.requests} == {"Bearer hf_given"}


def test_missing_or_hidden_repository_names_the_way_out(store, client, repository):
    repository.token = "hf_secret"
    with pytest.raises(HubNotFoundError, match=r"does not exist, or is private\..*set HF_TOKEN"):
        pull_model(store, client)
    with pytest.raises(HubNotFoundError, match="does not exist"):
        pull(store, client, "hf.co/nobody/nothing", Told())


@pytest.mark.parametrize("token", ["", "hf_stranger"])
def test_gated_repository_names_the_licence(store, client, repository, monkeypatch, token):
    monkeypatch.setenv("HF_TOKEN", token)
    repository.is_gated = True
    with pytest.raises(HubAccessError, match="accept its licence on that page, and set HF_TOKEN"):
        pull_model(store, client)
    assert is_empty(store)


def test_token_that_is_refused_is_not_told(store, client, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_old")
    hub.faults["/api/models"] = [lambda handler: handler.reply(401, b'{"error":"Invalid"}')]
    with pytest.raises(HubAccessError, match="refused access") as caught:
        pull_model(store, client)
    assert "hf_old" not in str(caught.value)
