"""The routes that say that something is there, and the paths to them."""

import pytest

from pyrunner import __version__


def test_root_contains_both_sentences_that_clients_wait_for(api):
    result = api.get("/")
    assert result.status_code == 200
    assert "Docker Model Runner is running" in result.text
    assert "The service is running" in result.text


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_version_is_answered_whatever_the_method(api, method):
    result = api.client.simulate_request(method, "/version")
    assert result.json == {"version": __version__}
    assert result.text.endswith("\n")


def test_health_turns_to_503_when_draining(api):
    assert api.get("/healthz").json == {"status": "ok"}
    api.application.dependencies.admission.drain()
    result = api.get("/healthz")
    assert (result.status_code, result.json) == (503, {"status": "draining"})


@pytest.mark.parametrize("path", ["/", "/version", "/healthz"])
def test_head_is_answered_without_a_body(api, path):
    result = api.client.simulate_head(path)
    assert (result.status_code, result.content) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/models/",
        "//models",
        "/models///",
        "/exp/vDD4.40/models",
        "//exp//vDD4.40//models/",
    ],
)
def test_path_is_cleaned_in_place(api, path):
    result = api.get(path)
    assert (result.status_code, result.json) == (200, [])


@pytest.mark.parametrize("path", ["/exp/vDD4.40", "/exp/vDD4.40/"])
def test_desktop_prefix_alone_is_the_root(api, path):
    assert "Docker Model Runner is running" in api.get(path).text


def test_desktop_prefix_inside_a_name_is_no_prefix(api):
    assert api.get("/exp/vDD4.401/models").status_code == 404
