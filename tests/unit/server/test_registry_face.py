"""``/v2/`` in the details of the OCI distribution specification 1.1."""

import pytest
from support.api import make_api
from support.artifacts import add

from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import MANIFEST_TYPE
from pyrunner.server import admission

WEIGHTS = bytes(range(256)) * 40
UNKNOWN = "sha256:" + "ab" * 32


@pytest.fixture
def api(tmp_path):
    return make_api(tmp_path, server_registry=True)


@pytest.fixture
def model(api):
    return add(api.store, "ai/tiny:v1", WEIGHTS)


@pytest.fixture
def blob(model):
    return f"/v2/ai/tiny/blobs/{model.manifest.layers[0].digest}"


def _codes(result) -> list[str]:
    return [each["code"] for each in result.json["errors"]]


@pytest.mark.parametrize("path", ["/v2", "/v2/", "/v2/_catalog", "/v2/ai/tiny/manifests/v1"])
def test_without_the_setting_there_is_no_registry(tmp_path, path):
    assert make_api(tmp_path).get(path).status_code == 404


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_version_check_is_200(api, path):
    result = api.get(path)
    assert (result.status_code, result.json) == (200, {})
    assert result.headers["docker-distribution-api-version"] == "registry/2.0"


@pytest.mark.parametrize("name", ["ai/tiny", "docker.io/ai/tiny"])
def test_manifest_by_tag_is_the_stored_bytes(api, model, name):
    result = api.get(f"/v2/{name}/manifests/v1")
    assert result.status_code == 200
    assert result.content == api.store.manifest_bytes(model)
    assert result.headers["content-type"] == MANIFEST_TYPE
    assert result.headers["docker-content-digest"] == model.id
    assert result.headers["etag"] == f'"{model.id}"'
    assert result.headers["content-length"] == str(len(result.content))


def test_manifest_by_digest_is_the_same(api, model):
    by_digest = api.get(f"/v2/ai/tiny/manifests/{model.id}")
    assert by_digest.content == api.get("/v2/ai/tiny/manifests/v1").content


def test_head_of_a_manifest_has_the_headers_and_no_body(api, model):
    result = api.client.simulate_head("/v2/ai/tiny/manifests/v1")
    assert (result.status_code, result.content) == (200, b"")
    assert result.headers["docker-content-digest"] == model.id
    assert result.headers["content-length"] == str(len(api.store.manifest_bytes(model)))
    assert result.headers["content-type"] == MANIFEST_TYPE


@pytest.mark.parametrize("known", ['"{}"', 'W/"{}"', '"x", "{}"', "*"])
@pytest.mark.parametrize("kind", ["manifests/v1", "blobs"])
def test_content_that_the_client_has_is_304(api, model, blob, known, kind):
    path, digest = {
        "manifests/v1": ("/v2/ai/tiny/manifests/v1", model.id),
        "blobs": (blob, model.manifest.layers[0].digest),
    }[kind]
    result = api.get(path, headers={"If-None-Match": known.format(digest)})
    assert (result.status_code, result.content) == (304, b"")
    assert result.headers["etag"] == f'"{digest}"'


@pytest.mark.usefixtures("model")
def test_content_that_the_client_has_in_another_version_is_sent(api):
    result = api.get("/v2/ai/tiny/manifests/v1", headers={"If-None-Match": f'"{UNKNOWN}"'})
    assert result.status_code == 200


def test_blob_is_the_stored_bytes(api, model, blob):
    result = api.get(blob)
    assert (result.status_code, result.content) == (200, WEIGHTS)
    assert result.headers["content-length"] == str(len(WEIGHTS))
    assert result.headers["content-type"] == "application/octet-stream"
    assert result.headers["accept-ranges"] == "bytes"
    assert result.headers["docker-content-digest"] == model.manifest.layers[0].digest


def test_config_is_a_blob_too(api, model):
    config = model.manifest.config
    assert Digest.of(api.get(f"/v2/ai/tiny/blobs/{config.digest}").content) == config.digest


def test_empty_blob_is_served(api):
    model = add(api.store, "ai/empty", b"")
    result = api.get(f"/v2/ai/empty/blobs/{model.manifest.layers[0].digest}")
    assert (result.status_code, result.content) == (200, b"")


def test_head_of_a_blob_has_the_headers_and_no_body(api, blob):
    result = api.client.simulate_head(blob, headers={"Range": "bytes=5-"})
    assert (result.status_code, result.content) == (200, b"")
    assert result.headers["content-length"] == str(len(WEIGHTS))
    assert result.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-0", slice(0, 1)),
        ("bytes=100-199", slice(100, 200)),
        ("bytes=10000-", slice(10000, None)),
        ("bytes=-7", slice(-7, None)),
    ],
)
def test_range_of_a_blob_is_206(api, blob, header, part):
    result = api.get(blob, headers={"Range": header})
    expected = WEIGHTS[part]
    start = part.indices(len(WEIGHTS))[0]
    assert (result.status_code, result.content) == (206, expected)
    assert result.headers["content-length"] == str(len(expected))
    last = start + len(expected) - 1
    assert result.headers["content-range"] == f"bytes {start}-{last}/{len(WEIGHTS)}"


def test_range_behind_the_end_is_416_with_the_size(api, blob):
    result = api.get(blob, headers={"Range": f"bytes={len(WEIGHTS)}-"})
    assert (result.status_code, _codes(result)) == (416, ["RANGE_INVALID"])
    assert result.headers["content-range"] == f"bytes */{len(WEIGHTS)}"


@pytest.mark.parametrize(("known", "status"), [("{}", 206), (UNKNOWN, 200)])
def test_range_counts_only_for_the_version_it_is_meant_for(api, model, blob, known, status):
    tag = f'"{known.format(model.manifest.layers[0].digest)}"'
    assert api.get(blob, headers={"Range": "bytes=5-", "If-Range": tag}).status_code == status


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v2/ai/none/manifests/v1", 404, "NAME_UNKNOWN"),
        (f"/v2/ai/none/blobs/{UNKNOWN}", 404, "NAME_UNKNOWN"),
        ("/v2/ai/none/tags/list", 404, "NAME_UNKNOWN"),
        ("/v2/ai/tiny/manifests/none", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/ai/tiny/manifests/{UNKNOWN}", 404, "MANIFEST_UNKNOWN"),
        ("/v2/ai/tiny/manifests/sha512:" + "ab" * 64, 404, "MANIFEST_UNKNOWN"),
        ("/v2/ai/tiny/manifests/sha256:zz", 400, "DIGEST_INVALID"),
        (f"/v2/ai/tiny/blobs/{UNKNOWN}", 404, "BLOB_UNKNOWN"),
        ("/v2/ai/tiny/blobs/sha512:" + "ab" * 64, 404, "BLOB_UNKNOWN"),
        ("/v2/ai/tiny/blobs/nonsense", 400, "DIGEST_INVALID"),
        ("/v2/ai/tiny/blobs/sha256:..%2F..%2Fx", 404, "NOT_FOUND"),
        ("/v2/AI/tiny/manifests/v1", 400, "NAME_INVALID"),
        ("/v2/ai/../tiny/manifests/v1", 400, "NAME_INVALID"),
        ("/v2/ai/tiny/tags/all", 404, "NOT_FOUND"),
        (f"/v2/ai/tiny/referrers/{UNKNOWN}", 404, "NOT_FOUND"),
        ("/v2/manifests/v1", 404, "NOT_FOUND"),
        ("/v2/x", 404, "NOT_FOUND"),
    ],
)
def test_what_is_not_there_is_refused_in_the_specifications_form(api, path, status, code):
    result = api.get(path)
    assert (result.status_code, _codes(result)) == (status, [code])
    assert result.headers["content-type"] == "application/json"
    assert result.json["errors"][0]["message"]


def test_blob_of_another_repository_is_unknown(api, blob):
    add(api.store, "ai/other:v1", b"other")
    elsewhere = blob.replace("ai/tiny", "ai/other")
    assert (api.get(blob).status_code, _codes(api.get(elsewhere))) == (200, ["BLOB_UNKNOWN"])


def test_blob_of_an_untagged_model_is_not_served(api):
    digest = add(api.store, None, b"untagged").manifest.layers[0].digest
    assert _codes(api.get(f"/v2/ai/tiny/blobs/{digest}")) == ["NAME_UNKNOWN"]


def test_blob_whose_file_is_gone_is_unknown(api, model, blob):
    api.store.blobs.path(model.manifest.layers[0].digest).unlink()
    for method in ("GET", "HEAD"):
        assert api.client.simulate_request(method, blob).status_code == 404


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "path",
    ["/v2", "/v2/ai/tiny/blobs/uploads/", "/v2/ai/tiny/manifests/v1", f"/v2/a/blobs/{UNKNOWN}"],
)
def test_every_write_is_405(api, method, path):
    result = api.client.simulate_request(method, path, body=b"x")
    assert (result.status_code, _codes(result)) == (405, ["UNSUPPORTED"])
    assert result.headers["allow"] == "GET, HEAD"


def test_tags_are_sorted_and_come_in_pages(api):
    for tag in ("v2", "Q8_0", "latest", "v10"):
        add(api.store, f"ai/x:{tag}", b"weights")
    whole = api.get("/v2/ai/x/tags/list")
    assert whole.json == {"name": "ai/x", "tags": ["Q8_0", "latest", "v10", "v2"]}
    assert "link" not in whole.headers
    first = api.get("/v2/ai/x/tags/list?n=3")
    assert first.json["tags"] == ["Q8_0", "latest", "v10"]
    link = '</v2/ai/x/tags/list?n=3&last=v10>; rel="next"'
    assert first.headers["link"] == link
    second = api.get("/v2/ai/x/tags/list?n=3&last=v10")
    assert second.json["tags"] == ["v2"]
    assert "link" not in second.headers


@pytest.mark.usefixtures("model")
def test_catalog_lists_every_repository_once_in_pages(api):
    add(api.store, "localhost:5000/test/a:1", b"a")
    api.store.tag("ai/tiny:v1", "ai/tiny:v2")
    assert api.get("/v2/_catalog").json == {"repositories": ["ai/tiny", "localhost_5000/test/a"]}
    first = api.get("/v2/_catalog?n=1")
    assert first.json["repositories"] == ["ai/tiny"]
    link = '</v2/_catalog?n=1&last=ai%2Ftiny>; rel="next"'
    assert first.headers["link"] == link
    assert api.get("/v2/_catalog?last=ai/tiny").json["repositories"] == ["localhost_5000/test/a"]
    assert api.get("/v2/_catalog?n=0").json["repositories"] == []


@pytest.mark.parametrize("n", ["-1", "x", "1e3", "9" * 10])
def test_page_size_that_is_no_number_is_refused(api, n):
    assert _codes(api.get(f"/v2/_catalog?n={n}")) == ["PAGINATION_NUMBER_INVALID"]


def test_damaged_manifest_is_500_in_the_specifications_form(api, model):
    api.store.blobs.path(model.id).write_bytes(b"{}")
    result = api.get("/v2/ai/tiny/manifests/v1")
    assert (result.status_code, _codes(result)) == (500, ["STORE_CORRUPT"])


def test_blob_too_many_is_429_until_one_has_ended(api, blob):
    gate = api.application.dependencies.admission.blobs
    tickets = [gate.admit() for _ in range(admission.N_BLOBS)]
    refused = api.get(blob)
    assert (refused.status_code, _codes(refused)) == (429, ["TOOMANYREQUESTS"])
    assert refused.headers["retry-after"] == "1"
    tickets.pop().release()
    assert [api.get(blob).status_code for _ in range(3)] == [200, 200, 200]


def test_blob_of_a_server_that_ends_is_503(api, blob):
    api.application.dependencies.admission.drain()
    assert _codes(api.get(blob)) == ["SHUTTING_DOWN"]


def test_page_of_another_site_reaches_nothing(api, blob):
    assert api.get(blob, headers={"Origin": "https://evil.example"}).status_code == 403
    assert api.get(blob, headers={"Host": "evil.example"}).status_code == 403
