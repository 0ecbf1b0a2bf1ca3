"""Host and Origin: what a web page can try."""

import pytest
from support.api import make_api

from pyrunner.server.security import UNIX_SOCKET_KEY, HostRule, OriginRule


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:12434",
        "localhost.",
        "127.0.0.1:12434",
        "127.9.9.9",
        "[::1]:12434",
        "model-runner.docker.internal",
        "host.docker.internal:12434",
        "gpu.example:80",
    ],
)
def test_host_that_means_us_is_allowed(host):
    assert HostRule(bound="127.0.0.1", names=("GPU.example",)).allows(host)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil.example",
        "localhost.evil.example",
        "evil.example:12434",
        "127.0.0.1.evil.example",
        "192.168.1.5",
        "localhost@evil.example",
        "localhost, evil.example",
        "localhost:80:80",
        "[::1",
        "[::1]evil",
        "::1",
        "localhost:",
        "localhost:123456",
        "http://localhost",
        "0x7f000001",
        "\u24db\u24deocalhost",
    ],
)
def test_host_that_does_not_mean_us_is_refused(host):
    assert not HostRule(bound="127.0.0.1").allows(host)


@pytest.mark.parametrize("bound", ["0.0.0.0", "::", ""])
def test_bound_to_every_address_any_address_is_ours_but_no_name(bound):
    rule = HostRule(bound=bound)
    assert rule.allows("172.17.0.1:12434")
    assert rule.allows("[fe80::1]")
    assert not rule.allows("evil.example")


def test_bound_address_and_name_are_ours():
    assert HostRule(bound="192.168.1.5").allows("192.168.1.5:12434")
    assert HostRule(bound="box.lan").allows("box.lan")


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost",
        "http://localhost:3000",
        "https://127.0.0.1:8443",
        "http://0.0.0.0:1",
        "http://[::1]:5173",
        "https://App.example",
        "http://dev.example:9999",
        "http://us.example:12434",
    ],
)
def test_origin_of_loopback_of_settings_or_our_own_is_allowed(origin):
    rule = OriginRule(("https://app.example/", "http://dev.example:*"))
    assert rule.allows(origin, "us.example:12434")


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "http://evil.example",
        "http://localhost.evil.example",
        "http://localhost:80.evil.example",
        "http://localhost:",
        "http://localhost:*",
        "file://",
        "chrome-extension://localhost",
        "http://app.example",
        "https://app.example:444",
        "http://dev.example.evil:1",
    ],
)
def test_origin_of_others_is_refused(origin):
    rule = OriginRule(("https://app.example", "http://dev.example:*"))
    assert not rule.allows(origin, "localhost:12434")


@pytest.mark.parametrize("origin", ["null", "http://evil.example"])
def test_star_allows_every_origin(origin):
    assert OriginRule(("*",)).allows(origin, None)


@pytest.mark.parametrize("path", ["/", "/version", "/models", "/engines/ps", "/logs"])
@pytest.mark.parametrize(
    ("headers", "text"),
    [
        (
            {"Host": "evil.example"},
            "Host not allowed; allow a name with: pyrunner serve --allow-host NAME\n",
        ),
        ({"Host": "localhost", "Origin": "http://evil.example"}, "Origin not allowed\n"),
    ],
    ids=["host", "origin"],
)
def test_foreign_page_gets_403_on_every_text_route(api, path, headers, text):
    result = api.get(path, headers=headers)
    assert (result.status_code, result.text) == (403, text)


def test_foreign_page_gets_403_in_the_envelope_on_openai_routes(api):
    result = api.post("/v1/chat/completions", {}, headers={"Origin": "http://evil.example"})
    assert result.status_code == 403
    assert result.json["error"]["code"] == "origin_not_allowed"


@pytest.mark.parametrize(
    ("path", "site", "status"),
    [
        ("/models", "cross-site", 403),
        ("/v1/models", "cross-site", 403),
        ("/", "cross-site", 200),
        ("/models", "same-origin", 200),
        ("/models", "none", 200),
    ],
)
def test_page_that_loads_a_route_as_a_picture_is_known_by_sec_fetch_site(api, path, site, status):
    assert api.get(path, headers={"Sec-Fetch-Site": site}).status_code == status


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS", "PUT"])
def test_origin_is_checked_for_every_method(api, method):
    headers = {"Origin": "http://evil.example", "Host": "localhost"}
    result = api.client.simulate_request(method, "/models/create", headers=headers)
    assert result.status_code == 403
    assert "access-control-allow-origin" not in result.headers


def test_request_over_the_unix_socket_needs_no_host(api):
    result = api.get("/models", headers={"Host": "anything"}, extras={UNIX_SOCKET_KEY: True})
    assert result.status_code == 200


def test_header_cannot_pretend_to_be_the_unix_socket(api):
    headers = {"Host": "evil.example", UNIX_SOCKET_KEY: "1", "X-Forwarded-Host": "localhost"}
    assert api.get("/models", headers=headers).status_code == 403


def test_allowed_origin_gets_cors_headers(api):
    result = api.get("/models", headers={"Origin": "http://localhost:3000"})
    assert result.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "Origin" in result.headers["vary"]


def test_answer_without_origin_still_varies_by_it(api):
    result = api.get("/models")
    assert "access-control-allow-origin" not in result.headers
    assert "Origin" in result.headers["vary"]


def test_preflight_is_answered_for_any_path(api):
    headers = {
        "Origin": "http://localhost:3000",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    result = api.client.simulate_options("/v1/anything", headers=headers)
    assert result.status_code == 204
    assert result.headers["access-control-allow-methods"] == "GET, POST, DELETE"
    assert result.headers["access-control-allow-credentials"] == "true"
    assert result.headers["access-control-allow-headers"] == "authorization,content-type"


def test_options_without_origin_is_no_route(api):
    result = api.client.simulate_options("/models", headers={"Host": "localhost"})
    assert (result.status_code, result.text) == (404, "not found\n")


def test_configured_star_opens_the_api_to_every_page(tmp_path):
    api = make_api(tmp_path, server_allowed_origins=("*",))
    assert api.get("/models", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200
    result = api.get("/models", headers={"Origin": "https://any.example"})
    assert result.status_code == 200
    assert result.headers["access-control-allow-origin"] == "https://any.example"
