"""Pulling from Hugging Face: what comes, what is refused, and what a broken transfer leaves."""

import hashlib
import threading

import pytest
from support.api import make_api
from support.artifacts import blob_names, new_store
from support.gguf_files import write_shards
from support.hub_pull import NAME, PAGE, TEMPLATE, is_empty, main_files, pull_model
from support.recording import ImpatientClient, Told
from support.scripted_registry import Fault, Handler

from pyrunner.config import RegistryConfig
from pyrunner.errors import (
    DigestMismatchError,
    HubNotFoundError,
    ModelFileError,
    RegistryProtocolError,
    RegistryUnavailableError,
)
from pyrunner.models import verification
from pyrunner.models.hub import COMMIT, SOURCE
from pyrunner.registry.digest import Digest
from pyrunner.registry.hugging_face import MAX_FILES

pytestmark = pytest.mark.usefixtures("repository")


def test_default_is_pulled_as_a_model_in_dockers_form(store, client, repository, weights):
    told = Told()
    outcome = pull_model(store, client, told=told)
    model = outcome.model
    assert not outcome.is_cached
    assert model.tags == ["huggingface.co/org/model-gguf:latest"]
    assert [each.read_bytes() for each in model.weight_paths] == [weights]
    assert model.mmproj_path is not None
    assert model.mmproj_path.read_bytes() == weights + bytes(64)
    assert model.chat_template_path is not None
    assert model.chat_template_path.read_bytes() == TEMPLATE
    assert (model.config.format, model.config.architecture) == ("gguf", "llama")
    assert model.manifest.annotations == {SOURCE: PAGE, COMMIT: repository.revisions["main"]}
    said = [each.message for each in told.events]
    assert "Selected Q4_K_M quantization (default)" in said
    assert said[-1] == "Model pulled successfully"


def test_quantisation_with_a_prefix_is_found_by_its_name(store, client, weights):
    model = pull_model(store, client, ":UD-Q4_K_XL").model
    assert model.weight_paths[0].read_bytes() == weights + bytes(32)
    assert model.tags == ["huggingface.co/org/model-gguf:UD-Q4_K_XL"]


def test_same_commit_gives_the_same_id_anywhere(tmp_path, store, client):
    other = new_store(tmp_path / "other")
    assert pull_model(store, client).model.id == pull_model(other, client).model.id


def test_unchanged_repository_costs_one_request(store, client, hub):
    first = pull_model(store, client)
    hub.requests.clear()
    again = pull_model(store, client)
    assert again.is_cached
    assert again.model.id == first.model.id
    assert [path for _, path, _ in hub.requests] == ["/api/models/org/model-gguf/revision/main"]


def test_new_commit_is_seen_and_only_what_changed_is_fetched(
    store, client, hub, repository, weights
):
    first = pull_model(store, client).model
    repository.commit(main_files(repository) | {"model-Q4_K_M.gguf": weights + bytes(96)})
    hub.content.requests.clear()
    told = Told()
    second = pull_model(store, client, told=told)
    assert not second.is_cached
    assert second.model.id != first.id
    assert [path.rpartition("/")[2] for _, path, _ in hub.content.requests] == ["model-Q4_K_M.gguf"]
    updated = f"Updated: {first.short_id} is now {second.model.short_id}"
    assert updated in [each.message for each in told.events]


def test_new_commit_that_leaves_the_models_files_makes_no_new_model(store, client, hub, repository):
    first = pull_model(store, client).model
    repository.commit(main_files(repository) | {"README.md": b"Now with a picture."})
    hub.content.requests.clear()
    again = pull_model(store, client)
    assert again.is_cached
    assert again.model.id == first.id
    assert hub.content.requests == []


def test_model_removed_from_the_store_comes_back(store, client):
    pull_model(store, client)
    store.remove("huggingface.co/org/model-gguf")
    assert not pull_model(store, client).is_cached


@pytest.mark.parametrize("part", ["manifest", "config"])
def test_model_that_lost_a_small_blob_comes_back(store, client, part):
    model = pull_model(store, client).model
    lost = {"manifest": model.id, "config": model.manifest.config.digest}[part]
    store.blobs.path(lost).unlink()
    outcome = pull_model(store, client)
    assert (outcome.model, outcome.is_cached) == (model, False)
    assert verification.verify(store).damages == ()


@pytest.mark.parametrize(
    ("tag", "at_the_end"),
    [(":v1", 128), (":v1--Q8_0", 160), (":v1--model-Q8_0.gguf", 160), (":{commit}", 128)],
)
def test_revision_is_named_by_the_tag(store, client, repository, weights, tag, at_the_end):
    old = {"model-Q4_K_M.gguf": weights + bytes(128), "model-Q8_0.gguf": weights + bytes(160)}
    commit = repository.commit(old, "v1")
    model = pull_model(store, client, tag.format(commit=commit)).model
    assert model.weight_paths[0].read_bytes() == weights + bytes(at_the_end)
    assert model.manifest.annotations[COMMIT] == commit
    assert pull_model(store, client, tag.format(commit=commit)).is_cached


def test_shards_come_together_in_order(store, client, hub, tmp_path):
    shards = write_shards(tmp_path, 3)
    repository = hub.add("Org/Model-GGUF")
    repository.page_size = 2
    repository.commit({f"BF16/{each.name}": each.read_bytes() for each in reversed(shards)})
    model = pull_model(store, client).model
    assert [each.read_bytes() for each in model.weight_paths] == [
        each.read_bytes() for each in shards
    ]


def test_set_that_misses_a_shard_is_refused(store, client, hub, tmp_path):
    shards = write_shards(tmp_path, 3)
    hub.add("Org/Model-GGUF").commit({each.name: each.read_bytes() for each in shards[:2]})
    with pytest.raises(HubNotFoundError, match="has only 2 shards of big"):
        pull_model(store, client)


@pytest.mark.parametrize("tag", [":Q2_K", ":Q4", ":v9--Q4_K_M"])
def test_tag_that_means_nothing_says_what_there_is(store, client, tag):
    with pytest.raises(HubNotFoundError, match=r"colon: Q4_K_M, UD-Q4_K_XL$"):
        pull_model(store, client, tag)
    assert is_empty(store)


def test_repository_without_gguf_says_so(store, client, hub):
    hub.add("Org/Model-GGUF").commit({"model.safetensors": b"x"})
    with pytest.raises(HubNotFoundError, match="has no GGUF file"):
        pull_model(store, client)


def test_digest_of_the_reference_is_what_has_to_come(store, client):
    with pytest.raises(DigestMismatchError):
        pull_model(store, client, f"@{Digest.of(b'another')}")
    assert store.list() == []


def test_commit_that_moves_after_the_listing_changes_nothing(
    store, client, hub, repository, weights
):
    commit = repository.revisions["main"]

    def move(handler):
        repository.commit({"model-Q4_K_M.gguf": b"other"})
        handler._serve()

    hub.faults["/tree/"] = [move]
    model = pull_model(store, client).model
    assert model.weight_paths[0].read_bytes() == weights
    assert model.manifest.annotations[COMMIT] == commit


def _half(handler: Handler) -> None:
    content = handler.blob()
    handler.reply(200, content[: len(content) // 2], Content_Length=str(len(content)))


def _dies(handler: Handler) -> None:
    start = int(handler.headers["Range"].removeprefix("bytes=").removesuffix("-"))
    size = len(handler.blob())
    part = f"bytes {start}-{size - 1}/{size}"
    handler.reply(206, b"", Content_Range=part, Content_Length=str(size - start))


def test_body_that_breaks_off_is_continued_where_it_was(store, client, hub, weights):
    hub.content.faults["Q4_K_M"] = [_half]
    assert pull_model(store, client).model.weight_paths[0].read_bytes() == weights
    asked = hub.content.headers_of("GET", "Q4_K_M")
    assert asked[1]["Range"] == f"bytes={len(weights) // 2}-"


def test_pull_that_was_given_up_is_continued_by_the_next(store, client, hub, weights):
    hub.content.faults["Q4_K_M"] = [_half, _dies, _dies]
    with pytest.raises(RegistryUnavailableError):
        pull_model(store, client)
    assert pull_model(store, client).model.weight_paths[0].read_bytes() == weights
    assert hub.content.headers_of("GET", "Q4_K_M")[-1]["Range"] == f"bytes={len(weights) // 2}-"


@pytest.fixture
def is_over():
    is_over = threading.Event()
    yield is_over
    is_over.set()


def test_content_host_that_stays_silent_is_given_up(store, hub, is_over):
    hub.content.faults["Q4_K_M"] = [lambda _handler: is_over.wait(10)]
    config = RegistryConfig(max_attempts=1, timeout_s=0.2)
    with (
        ImpatientClient(config=config) as client,
        pytest.raises(RegistryUnavailableError, match="did not answer in time"),
    ):
        pull_model(store, client)


def _wrong_bytes(handler: Handler) -> None:
    handler.reply(200, bytes(len(handler.blob())))


def _longer(handler: Handler) -> None:
    handler.reply(200, handler.blob() + b"x")


def _shorter(handler: Handler) -> None:
    handler.reply(200, handler.blob()[:-1])


@pytest.mark.parametrize("fault", [_wrong_bytes, _longer, _shorter])
def test_file_that_is_another_is_refused_and_leaves_nothing(store, client, hub, weights, fault):
    hub.content.faults["Q4_K_M"] = [fault]
    with pytest.raises(DigestMismatchError) as caught:
        pull_model(store, client)
    digest = hashlib.sha256(weights).hexdigest()
    assert caught.value.expected == f"sha256:{digest}"
    assert digest not in blob_names(store)
    assert store.list() == []


def test_plain_file_that_is_another_is_refused(store, client, hub):
    hub.faults["chat_template.jinja"] = [lambda handler: handler.reply(200, b"{{ otherwise }}")]
    with pytest.raises(DigestMismatchError, match="git:"):
        pull_model(store, client)
    assert is_empty(store)


def test_file_that_is_no_gguf_is_refused_by_its_name(store, client, hub):
    hub.add("Org/Model-GGUF").commit({"model-Q4_K_M.gguf": b"<html>" * 100})
    with pytest.raises(ModelFileError, match=r"Org/Model-GGUF/model-Q4_K_M\.gguf"):
        pull_model(store, client)
    assert store.list() == []


@pytest.mark.parametrize(
    "path", ["../x.gguf", "/etc/x.gguf", "a/../x.gguf", "a//x.gguf", "x\n.gguf", "a\\x.gguf"]
)
def test_listing_with_a_path_that_leaves_is_refused(store, client, repository, weights, path):
    repository.commit(main_files(repository) | {path: weights})
    with pytest.raises(RegistryProtocolError, match="a listing with the file"):
        pull_model(store, client)
    assert is_empty(store)


def _answers(body: bytes, **headers: str) -> Fault:
    return lambda handler: handler.reply(200, body, **headers)


SELF = '</api/models/Org/Model-GGUF/tree/x>; rel="next"'
ENTRY = b'{"path":"a","type":"file","size":1,"oid":"0"}'


@pytest.mark.parametrize(
    "answers",
    [
        [_answers(b"[]", Link=SELF)],
        [_answers(b"[%s]" % ENTRY, Link=SELF)] * 3,
        [_answers(b"[%s]" % b",".join([ENTRY] * (MAX_FILES + 1)))],
        [_answers(b"[%s]" % (b" " * 9 * 1024 * 1024))],
        [_answers(b"[" * 100_000)],
        [_answers(b"{}")],
        [_answers(b'[{"path":"a","lfs":{"oid":"../x","size":1}}]')],
        [_answers(b'[{"path":"a","size":-1}]')],
        [_answers(b"[%s]" % ENTRY, Link='<http://[>; rel="next"')],
    ],
    ids=["empty", "circle", "many", "long", "deep", "object", "digest", "size", "address"],
)
def test_listing_that_cannot_be_right_is_refused(store, client, hub, answers):
    hub.faults["/tree/"] = answers
    with pytest.raises(RegistryProtocolError):
        pull_model(store, client)
    assert is_empty(store)


@pytest.mark.parametrize("body", [b"{}", b'{"sha":"main"}', b'{"id":"../x","sha":"%040d"}' % 0])
def test_revision_that_is_none_is_refused(store, client, hub, body):
    hub.faults["/revision/"] = [_answers(body)]
    with pytest.raises(RegistryProtocolError):
        pull_model(store, client)


def test_link_of_a_mirrored_hub_is_followed_on_the_mirror(store, client, hub, repository):
    page = '<https://huggingface.co/api/models/Org/Model-GGUF/tree/{}?cursor=0>; rel="next"'
    link = page.format(repository.revisions["main"])
    hub.faults["/tree/"] = [_answers(b"[%s]" % ENTRY, Link=link)]
    assert pull_model(store, client).model.tags


def test_server_pulls_by_the_same_name_and_tells_errors_by_status(tmp_path, repository):
    api = make_api(tmp_path)
    assert api.post("/models/create", {"from": NAME}).status_code == 200
    assert api.get("/models/hf.co/Org/Model-GGUF").json["tags"] == [
        "huggingface.co/org/model-gguf:latest"
    ]
    missing = api.post("/models/create", {"from": f"{NAME}:Q2_K"})
    assert missing.status_code == 404
    assert "UD-Q4_K_XL" in missing.text
    repository.is_gated = True
    repository.commit(main_files(repository) | {"model-Q4_K_M.gguf": b"new"}, "main")
    assert api.post("/models/create", {"from": NAME}).status_code == 401
