"""``/models`` and OpenAI's listing over a real store."""

import pytest
from support.api import make_api
from support.gguf_files import write_tiny_gguf

from pyrunner.config import MAX_DEFAULT_N_CTX
from pyrunner.models.packaging import PackageOptions, package

NAME = "docker.io/ai/tiny:latest"


def test_empty_store_is_an_empty_list(api):
    assert api.get("/models").text == "[]\n"
    assert api.get("/v1/models").json == {"object": "list", "data": []}


def test_list_is_docker_model_runners_shape(api, stored):
    result = api.get("/models")
    assert result.headers["content-type"] == "application/json"
    (model,) = result.json
    assert model["id"] == stored.id
    assert model["tags"] == [NAME]
    assert model["created"] == stored.created
    assert model["config"]["format"] == "gguf"
    assert model["config"]["architecture"] == "llama"
    assert model["config"]["context_size"] == 512


@pytest.mark.parametrize("name", [NAME, "ai/tiny", "tiny", "ai/tiny:latest", "AI/Tiny"])
def test_model_is_found_by_every_name(api, stored, name):
    for path in (f"/models/{name}", f"/models/{name}?remote=false", f"/models/{name}?remote=zzz"):
        assert api.get(path).json["id"] == stored.id


def test_model_is_found_by_id(api, stored):
    for name in (stored.id, stored.id.removeprefix("sha256:"), stored.short_id):
        assert api.get(f"/models/{name}").json["id"] == stored.id


def test_unknown_model_is_404_in_dockers_words(api):
    result = api.get("/models/ai/none")
    assert (result.status_code, result.text) == (404, "model not found\n")


def test_openai_list_has_one_entry_per_model(api, stored):
    api.store.tag("ai/tiny", "ai/other:v2")
    (entry,) = api.get("/v1/models").json["data"]
    assert entry == {
        "id": NAME,
        "object": "model",
        "created": stored.created,
        "owned_by": "docker",
        "dmr": {
            "context_window": 512,
            "architecture": "llama",
            "parameters": stored.config.parameters,
            "quantization": stored.config.quantization,
            "size": stored.config.size,
        },
    }
    assert api.get("/engines/v1/models/ai/other:v2").json["id"] == NAME


def test_openai_entry_of_an_unknown_model_is_404_in_the_envelope(api):
    result = api.get("/v1/models/ai/none")
    assert result.status_code == 404
    assert result.json["error"]["code"] == "model_not_found"


@pytest.mark.usefixtures("stored")
def test_tag_is_created(api):
    result = api.client.simulate_post("/models/ai/tiny/tag?repo=reg.example:5000/me/it&tag=v1")
    assert result.status_code == 201
    assert result.json == {
        "message": 'Model tagged successfully with "reg.example:5000/me/it:v1"',
        "target": "reg.example:5000/me/it:v1",
    }
    assert api.get("/models").json[0]["tags"] == [NAME, "reg.example:5000/me/it:v1"]


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/models/ai/tiny/tag", 400, "missing repo or tag query parameter\n"),
        ("/models/ai/tiny/tag?repo=x", 400, "missing repo or tag query parameter\n"),
        ("/models/ai/none/tag?repo=x&tag=y", 404, "model not found\n"),
        ("/models/ai/tiny/zap", 404, 'unknown action "zap"\n'),
        ("/models/ai/none/repackage", 400, "target is required\n"),
    ],
)
def test_action_that_cannot_be_done_says_why(api, path, status, text):
    result = api.post(path, {})
    assert (result.status_code, result.text) == (status, text)


@pytest.mark.usefixtures("stored")
def test_tag_that_is_no_reference_is_400(api):
    result = api.client.simulate_post("/models/ai/tiny/tag?repo=a%20b&tag=c")
    assert result.status_code == 400
    assert result.text.startswith("error while tagging model: Invalid model reference")


def test_delete_by_tag_untags_and_deletes_with_the_last(api, stored):
    api.store.tag("ai/tiny", "ai/other:v2")
    first = api.client.simulate_delete("/models/ai/other:v2")
    assert first.json == [{"Untagged": "docker.io/ai/other:v2"}]
    second = api.client.simulate_delete("/models/ai/tiny?force")
    assert second.json == [{"Untagged": NAME}, {"Deleted": stored.id}]
    assert api.get("/models").json == []


def test_delete_by_id_with_several_tags_needs_force(api, stored):
    api.store.tag("ai/tiny", "ai/other:v2")
    refused = api.client.simulate_delete(f"/models/{stored.id}")
    assert refused.status_code == 409
    assert refused.text.startswith('error while deleting model: unable to delete "sha256:')
    assert "(must be forced) due to multiple tag references: resource conflict" in refused.text
    done = api.client.simulate_delete(f"/models/{stored.id}?force=true")
    assert [next(iter(each)) for each in done.json] == ["Untagged", "Untagged", "Deleted"]


@pytest.mark.usefixtures("stored")
def test_purge_removes_every_model_and_answers_nothing(api):
    done = api.client.simulate_delete("/models/purge")
    assert (done.status_code, done.text) == (200, "")
    assert api.get("/models").json == []


def test_purge_of_a_folder_that_is_no_store_is_refused(api):
    api.store.path.mkdir(parents=True)
    (api.store.path / "thesis.txt").write_text("years")
    done = api.client.simulate_delete("/models/purge")
    assert done.status_code == 500
    assert "holds no model store" in done.text
    assert (api.store.path / "thesis.txt").exists()


def test_delete_of_an_unknown_model_is_404(api):
    result = api.client.simulate_delete("/models/ai/none")
    assert result.status_code == 404
    assert result.text == "error while deleting model: model not found\n"


def test_openai_list_tells_the_context_a_model_is_loaded_with(tmp_path):
    path = write_tiny_gguf(tmp_path / "long.gguf", n_ctx_train=4 * MAX_DEFAULT_N_CTX)
    capped, set_by_operator = make_api(tmp_path), make_api(tmp_path, engine_n_ctx=64)
    package(capped.store, PackageOptions(gguf=path), "ai/long", lambda _: None)
    assert capped.get("/v1/models/ai/long").json["dmr"]["context_window"] == MAX_DEFAULT_N_CTX
    assert set_by_operator.get("/v1/models").json["data"][0]["dmr"]["context_window"] == 64


def test_openai_list_has_models_that_cannot_be_loaded(api, stored):
    stored.weight_paths[0].unlink()
    assert "context_window" not in api.get("/v1/models").json["data"][0]["dmr"]


@pytest.mark.usefixtures("stored")
def test_repackage_gives_a_model_with_another_context_size(api):
    body = {"target": "ai/short:v1", "context_size": 256}
    result = api.post("/models/ai/tiny/repackage", body)
    assert result.status_code == 201
    assert result.json == {
        "message": 'Model repackaged successfully as "ai/short:v1"',
        "source": "ai/tiny",
        "target": "ai/short:v1",
    }
    assert api.get("/models/ai/short:v1").json["config"]["context_size"] == 256


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("ai/none", {"target": "ai/x"}, 404),
        ("ai/tiny", {"target": "a b"}, 400),
        ("ai/tiny", {"target": "ai/x", "context_size": "many"}, 400),
        ("ai/tiny", {"target": "ai/x", "context_size": 0}, 400),
    ],
)
def test_repackage_that_cannot_be_done_is_refused(api, name, body, status):
    assert api.post(f"/models/{name}/repackage", body).status_code == status


@pytest.mark.parametrize("name", ["..", "a/../../etc/passwd", "%00", "a%0ab", "x" * 5000])
def test_hostile_name_is_refused(api, name):
    assert api.get(f"/models/{name}").status_code in (400, 404)
    assert api.client.simulate_delete(f"/models/{name}").status_code in (400, 404)


def test_disk_usage_counts_each_blob_once(api, stored):
    api.store.tag("ai/tiny", "ai/other:v2")
    usage = api.get("/engines/df").json
    blobs = [api.store.blobs.path(each) for each in stored.digests]
    assert usage["models_disk_usage"] == sum(each.stat().st_size for each in blobs)
    assert usage["default_backend_disk_usage"] >= 0
    assert usage["prefix_cache_disk_usage"] == 0


@pytest.mark.usefixtures("stored")
def test_disk_usage_counts_what_a_broken_pull_left(api):
    before = api.get("/engines/df").json["models_disk_usage"]
    partial = api.store.path / ".pyrunner" / "incoming" / f"{'0' * 64}.partial"
    with partial.open("wb") as file:
        file.write(b"1" * 1_000_000)
        file.truncate(1_000_000_000)
    found = api.get("/engines/df").json["models_disk_usage"] - before
    assert 1_000_000 <= found < 2_000_000
