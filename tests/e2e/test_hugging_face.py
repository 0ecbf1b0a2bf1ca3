"""Pulling from Hugging Face: what comes, what is refused, and what a broken transfer leaves."""

import hashlib
import threading

import pytest
from support.api import make_api
from support.artifacts import blob_names, new_store
from support.gguf_files import write_shards, write_tiny_gguf
from support.recording import ImpatientClient, Told
from support.scripted_hub import HubRepository, scripted_hub
from support.scripted_registry import Fault, Handler

from pyrunner.config import RegistryConfig
from pyrunner.errors import (
    DigestMismatchError,
    HubAccessError,
    HubNotFoundError,
    ModelFileError,
    RegistryProtocolError,
    RegistryUnavailableError,
)
from pyrunner.models.hub import COMMIT, SOURCE
from pyrunner.models.store import Store
from pyrunner.models.transfer import PullOutcome, pull
from pyrunner.registry.client import RegistryClient
from pyrunner.registry.credential import GivenToken
from pyrunner.registry.digest import Digest
from pyrunner.registry.hugging_face import MAX_FILES

NAME = "hf.co/Org/Model-GGUF"
PAGE = "https://huggingface.co/Org/Model-GGUF"
TEMPLATE = b"{{ messages }}"

pytestmark = pytest.mark.usefixtures("repository")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """About 1 MiB."""
    return write_tiny_gguf(tmp_path_factory.mktemp("gguf") / "w.gguf", n_vocab=4096).read_bytes()


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with scripted_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", f"http://{hub.host}")
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        yield hub


@pytest.fixture
def repository(hub, weights):
    repository = hub.add("Org/Model-GGUF")
    repository.plain |= {"README.md", "chat_template.jinja"}
    repository.commit(
        {
            "README.md": b"text",
            "chat_template.jinja": TEMPLATE,
            "model-Q4_K_M.gguf": weights,
            "model-UD-Q4_K_XL.gguf": weights + bytes(32),
            "mmproj-F16.gguf": weights + bytes(64),
        }
    )
    return repository


@pytest.fixture
def client():
    with ImpatientClient() as client:
        yield client


def _pull(
    store: Store, client: RegistryClient, tag: str = "", told: Told | None = None
) -> PullOutcome:
    return pull(store, client, f"{NAME}{tag}", told or Told())


def _main(repository: HubRepository) -> dict[str, bytes]:
    return repository.commits[repository.revisions["main"]]


def _is_empty(store: Store) -> bool:
    incoming = store.path / ".pyrunner" / "incoming"
    return store.list() == [] and not (incoming.exists() and list(incoming.iterdir()))


def test_default_is_pulled_as_a_model_in_dockers_form(store, client, repository, weights):
    told = Told()
    outcome = _pull(store, client, told=told)
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
    model = _pull(store, client, ":UD-Q4_K_XL").model
    assert model.weight_paths[0].read_bytes() == weights + bytes(32)
    assert model.tags == ["huggingface.co/org/model-gguf:UD-Q4_K_XL"]


def test_same_commit_gives_the_same_id_anywhere(tmp_path, store, client):
    other = new_store(tmp_path / "other")
    assert _pull(store, client).model.id == _pull(other, client).model.id


def test_unchanged_repository_costs_one_request(store, client, hub):
    first = _pull(store, client)
    hub.requests.clear()
    again = _pull(store, client)
    assert again.is_cached
    assert again.model.id == first.model.id
    assert [path for _, path, _ in hub.requests] == ["/api/models/org/model-gguf/revision/main"]


def test_new_commit_is_seen_and_only_what_changed_is_fetched(
    store, client, hub, repository, weights
):
    first = _pull(store, client).model
    repository.commit(_main(repository) | {"model-Q4_K_M.gguf": weights + bytes(96)})
    hub.content.requests.clear()
    told = Told()
    second = _pull(store, client, told=told)
    assert not second.is_cached
    assert second.model.id != first.id
    assert [path.rpartition("/")[2] for _, path, _ in hub.content.requests] == ["model-Q4_K_M.gguf"]
    updated = f"Updated: {first.short_id} is now {second.model.short_id}"
    assert updated in [each.message for each in told.events]


def test_new_commit_that_leaves_the_models_files_makes_no_new_model(
    store, client, hub, repository
):
    first = _pull(store, client).model
    repository.commit(_main(repository) | {"README.md": b"Now with a picture."})
    hub.content.requests.clear()
    again = _pull(store, client)
    assert again.is_cached
    assert again.model.id == first.id
    assert hub.content.requests == []


def test_model_removed_from_the_store_comes_back(store, client):
    _pull(store, client)
    store.remove("huggingface.co/org/model-gguf")
    assert not _pull(store, client).is_cached


@pytest.mark.parametrize(
    ("tag", "at_the_end"),
    [(":v1", 128), (":v1--Q8_0", 160), (":v1--model-Q8_0.gguf", 160), (":{commit}", 128)],
)
def test_revision_is_named_by_the_tag(store, client, repository, weights, tag, at_the_end):
    old = {"model-Q4_K_M.gguf": weights + bytes(128), "model-Q8_0.gguf": weights + bytes(160)}
    commit = repository.commit(old, "v1")
    model = _pull(store, client, tag.format(commit=commit)).model
    assert model.weight_paths[0].read_bytes() == weights + bytes(at_the_end)
    assert model.manifest.annotations[COMMIT] == commit
    assert _pull(store, client, tag.format(commit=commit)).is_cached


def test_shards_come_together_in_order(store, client, hub, tmp_path):
    shards = write_shards(tmp_path, 3)
    repository = hub.add("Org/Model-GGUF")
    repository.page_size = 2
    repository.commit({f"BF16/{each.name}": each.read_bytes() for each in reversed(shards)})
    model = _pull(store, client).model
    assert [each.read_bytes() for each in model.weight_paths] == [
        each.read_bytes() for each in shards
    ]


def test_set_that_misses_a_shard_is_refused(store, client, hub, tmp_path):
    shards = write_shards(tmp_path, 3)
    hub.add("Org/Model-GGUF").commit({each.name: each.read_bytes() for each in shards[:2]})
    with pytest.raises(HubNotFoundError, match="has only 2 shards of big"):
        _pull(store, client)


@pytest.mark.parametrize("tag", [":Q2_K", ":Q4", ":v9--Q4_K_M"])
def test_tag_that_means_nothing_says_what_there_is(store, client, tag):
    with pytest.raises(HubNotFoundError, match=r"colon: Q4_K_M, UD-Q4_K_XL$"):
        _pull(store, client, tag)
    assert _is_empty(store)


def test_repository_without_gguf_says_so(store, client, hub):
    hub.add("Org/Model-GGUF").commit({"model.safetensors": b"x"})
    with pytest.raises(HubNotFoundError, match="has no GGUF file"):
        _pull(store, client)


def test_digest_of_the_reference_is_what_has_to_come(store, client):
    with pytest.raises(DigestMismatchError):
        _pull(store, client, f"@{Digest.of(b'another')}")
    assert store.list() == []


def test_token_goes_to_the_hub_and_not_to_its_content_host(
    store, client, hub, repository, monkeypatch
):
    repository.token = "hf_secret"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert _pull(store, client).model.tags
    assert {headers["Authorization"] for _, _, headers in hub.requests} == {"Bearer hf_secret"}
    assert hub.content.requests
    assert not [headers for _, _, headers in hub.content.requests if "Authorization" in headers]


def test_token_that_a_request_brought_comes_first(store, hub, repository, monkeypatch):
    repository.token = "hf_given"
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_server")
    given = GivenToken("huggingface.co", "hf_given")
    with RegistryClient(RegistryConfig(), token=given) as client:
        assert _pull(store, client).model.tags
    assert {headers["Authorization"] for _, _, headers in hub.requests} == {"Bearer hf_given"}


def test_missing_or_hidden_repository_names_the_way_out(store, client, repository):
    repository.token = "hf_secret"
    with pytest.raises(HubNotFoundError, match=r"does not exist, or is private\..*set HF_TOKEN"):
        _pull(store, client)
    with pytest.raises(HubNotFoundError, match="does not exist"):
        pull(store, client, "hf.co/nobody/nothing", Told())


@pytest.mark.parametrize("token", ["", "hf_stranger"])
def test_gated_repository_names_the_licence(store, client, repository, monkeypatch, token):
    monkeypatch.setenv("HF_TOKEN", token)
    repository.is_gated = True
    with pytest.raises(HubAccessError, match="accept its licence on that page, and set HF_TOKEN"):
        _pull(store, client)
    assert _is_empty(store)


def test_token_that_is_refused_is_not_told(store, client, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_old")
    hub.faults["/api/models"] = [lambda handler: handler.reply(401, b'{"error":"Invalid"}')]
    with pytest.raises(HubAccessError, match="refused access") as caught:
        _pull(store, client)
    assert "hf_old" not in str(caught.value)


def test_commit_that_moves_after_the_listing_changes_nothing(
    store, client, hub, repository, weights
):
    commit = repository.revisions["main"]

    def move(handler):
        repository.commit({"model-Q4_K_M.gguf": b"other"})
        handler._serve()

    hub.faults["/tree/"] = [move]
    model = _pull(store, client).model
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
    assert _pull(store, client).model.weight_paths[0].read_bytes() == weights
    asked = hub.content.headers_of("GET", "Q4_K_M")
    assert asked[1]["Range"] == f"bytes={len(weights) // 2}-"


def test_pull_that_was_given_up_is_continued_by_the_next(store, client, hub, weights):
    hub.content.faults["Q4_K_M"] = [_half, _dies, _dies]
    with pytest.raises(RegistryUnavailableError):
        _pull(store, client)
    assert _pull(store, client).model.weight_paths[0].read_bytes() == weights
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
        _pull(store, client)


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
        _pull(store, client)
    digest = hashlib.sha256(weights).hexdigest()
    assert caught.value.expected == f"sha256:{digest}"
    assert digest not in blob_names(store)
    assert store.list() == []


def test_plain_file_that_is_another_is_refused(store, client, hub):
    hub.faults["chat_template.jinja"] = [lambda handler: handler.reply(200, b"{{ otherwise }}")]
    with pytest.raises(DigestMismatchError, match="git:"):
        _pull(store, client)
    assert _is_empty(store)


def test_file_that_is_no_gguf_is_refused_by_its_name(store, client, hub):
    hub.add("Org/Model-GGUF").commit({"model-Q4_K_M.gguf": b"<html>" * 100})
    with pytest.raises(ModelFileError, match=r"Org/Model-GGUF/model-Q4_K_M\.gguf"):
        _pull(store, client)
    assert store.list() == []


@pytest.mark.parametrize(
    "path", ["../x.gguf", "/etc/x.gguf", "a/../x.gguf", "a//x.gguf", "x\n.gguf", "a\\x.gguf"]
)
def test_listing_with_a_path_that_leaves_is_refused(store, client, repository, weights, path):
    repository.commit(_main(repository) | {path: weights})
    with pytest.raises(RegistryProtocolError, match="a listing with the file"):
        _pull(store, client)
    assert _is_empty(store)


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
        _pull(store, client)
    assert _is_empty(store)


@pytest.mark.parametrize("body", [b"{}", b'{"sha":"main"}', b'{"id":"../x","sha":"%040d"}' % 0])
def test_revision_that_is_none_is_refused(store, client, hub, body):
    hub.faults["/revision/"] = [_answers(body)]
    with pytest.raises(RegistryProtocolError):
        _pull(store, client)


def test_link_of_a_mirrored_hub_is_followed_on_the_mirror(store, client, hub, repository):
    page = '<https://huggingface.co/api/models/Org/Model-GGUF/tree/{}?cursor=0>; rel="next"'
    link = page.format(repository.revisions["main"])
    hub.faults["/tree/"] = [_answers(b"[%s]" % ENTRY, Link=link)]
    assert _pull(store, client).model.tags


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
    repository.commit(_main(repository) | {"model-Q4_K_M.gguf": b"new"}, "main")
    assert api.post("/models/create", {"from": NAME}).status_code == 401
