"""``/models/{name}/export`` and ``/models/load``."""

import io
import json

import pytest
from support.api import make_api
from support.artifacts import blob_names

from pyrunner.models.tar_loading import load
from pyrunner.models.tar_writing import ModelTar


def _tar(api) -> bytes:
    with ModelTar(api.store, "ai/tiny") as tar:
        return b"".join(tar.chunks())


@pytest.mark.usefixtures("stored")
def test_export_is_the_models_tar(api):
    result = api.get("/models/ai/tiny/export")
    assert result.status_code == 200
    assert result.headers["content-type"] == "application/x-tar"
    assert result.headers["content-disposition"] == 'attachment; filename="ai/tiny.tar"'
    assert result.headers["content-length"] == str(len(result.content))
    assert result.content == _tar(api)


@pytest.mark.usefixtures("stored")
def test_export_gives_its_place_and_its_lease_back(api):
    api.get("/models/ai/tiny/export")
    assert api.application.dependencies.admission.transfers.n_active == 0
    api.store.remove("ai/tiny")
    assert blob_names(api.store) == set()


def test_export_of_an_unknown_model_is_404_in_dockers_words(api):
    result = api.get("/models/ai/none/export")
    assert (result.status_code, result.text) == (404, "model not found\n")
    assert api.application.dependencies.admission.transfers.n_active == 0


def test_load_takes_a_tar_untagged_and_says_what_docker_says(api, stored):
    content = _tar(api)
    api.store.remove("ai/tiny")
    result = api.client.simulate_post("/models/load", body=content)
    assert result.status_code == 200
    assert json.loads(result.text) == {
        "type": "success",
        "message": "Model loaded successfully",
        "total": 0,
        "layer": {"size": 0, "current": 0},
        "mode": "pull",
    }
    assert result.text.endswith("}\n")
    assert result.headers["x-model-id"] == stored.id
    (model,) = api.store.list()
    assert (model.id, model.tags) == (stored.id, [])


@pytest.mark.parametrize("body", [b"", b"nonsense" * 100])
def test_load_of_what_is_no_tar_is_refused_and_leaves_nothing(api, body):
    result = api.client.simulate_post("/models/load", body=body)
    assert result.status_code == 422
    assert result.text.startswith("error while loading model: the tar: is ")
    assert result.headers["x-error-code"] == "invalid_model_file"
    assert blob_names(api.store) == set()
    assert api.application.dependencies.admission.transfers.n_active == 0


@pytest.mark.usefixtures("stored")
def test_load_of_a_body_above_the_limit_is_refused_unread(api, tmp_path):
    content = _tar(api)
    small = make_api(tmp_path / "small", server_max_load_bytes=1024)
    result = small.client.simulate_post("/models/load", body=content)
    assert (result.status_code, "limit is 1024 bytes" in result.text) == (400, True)


def test_load_of_an_exported_model_round_trips_between_stores(api, stored, tmp_path):
    other = make_api(tmp_path / "other")
    content = api.get("/models/ai/tiny/export").content
    assert load(other.store, io.BytesIO(content), "t").id == stored.id
