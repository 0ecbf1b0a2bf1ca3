"""Pull and push against Debian's docker-registry: authentication, interruptions, large blobs."""

import base64
import json
import subprocess
import threading

import pytest
from support.artifacts import add, blob_names, described
from support.debian_registry import (
    ANONYMOUS,
    PASSWORD,
    RIGHT,
    USER,
    WRONG,
    Login,
    running_registry,
)
from support.recording import GaveUp, ImpatientClient, Told
from support.token_server import IDENTITY_TOKEN

from pyrunner.config import RegistryConfig
from pyrunner.errors import ModelNotFoundError, RegistryAuthError, RegistryUnavailableError
from pyrunner.models.store import Store
from pyrunner.models.transfer import pull, push
from pyrunner.registry.auth import Credential, DockerCredentials
from pyrunner.registry.client import RegistryClient
from pyrunner.registry.digest import Digest
from pyrunner.registry.upload import Upload

WEIGHTS = bytes(range(256)) * 4096 * 32
"""32 MiB: much more than socket buffers hold."""
BLOB = Digest.of(WEIGHTS).text
LARGE = WEIGHTS * 8
"""256 MiB: takes so long that a pull can be stopped in the middle on any machine."""


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    with running_registry(tmp_path_factory.mktemp("plain")) as registry:
        yield registry


def _kept(store: Store) -> int:
    """How much of `LARGE`, which comes in ranges, an interrupted pull left."""
    return store.blobs.bytes_here(described(LARGE))


def test_second_pull_answers_cached_and_adds_the_tag(plain, here, there):
    add(there, f"{plain.host}/a/cached:1", b"weights")
    there.tag(f"{plain.host}/a/cached:1", f"{plain.host}/a/cached:2")
    told = Told()
    with RegistryClient(RegistryConfig(), ANONYMOUS) as client:
        for tag in ("1", "2"):
            push(there, client, f"{plain.host}/a/cached:{tag}", Told())
        pull(here, client, f"{plain.host}/a/cached:1", told)
        outcome = pull(here, client, f"{plain.host}/a/cached:2", told)
    assert outcome.is_cached
    assert told.messages == ["Model pulled successfully", "Using cached model: 7B"]
    assert [tag.rsplit(":", 1)[1] for tag in outcome.model.tags] == ["1", "2"]


def test_pull_by_digest_of_a_model_that_is_here_needs_no_network(plain, here, there):
    model = add(there, f"{plain.host}/a/pinned:1", b"weights")
    with RegistryClient(RegistryConfig(), ANONYMOUS) as client:
        push(there, client, f"{plain.host}/a/pinned:1", Told())
        by_digest = f"{plain.host}/a/pinned@{model.id}"
        assert pull(here, client, by_digest, Told()).model.tags == [by_digest]
    nowhere = f"127.0.0.1:1/a/pinned@{model.id}"
    with ImpatientClient() as client:
        assert pull(here, client, nowhere, Told()).is_cached


def test_pull_of_a_tag_with_a_digest_verifies_the_digest_and_keeps_the_tag(plain, here, there):
    model = add(there, f"{plain.host}/a/both:1", b"weights")
    other = add(there, f"{plain.host}/a/both:2", b"other weights")
    with RegistryClient(RegistryConfig(), ANONYMOUS) as client:
        push(there, client, f"{plain.host}/a/both:1", Told())
        push(there, client, f"{plain.host}/a/both:2", Told())
        name = f"{plain.host}/a/both:1@{other.id}"  # the registry's tag is another model
        assert pull(here, client, name, Told()).model.tags == [f"{plain.host}/a/both:1"]
        assert here.find(f"{plain.host}/a/both:1").id == other.id
        with pytest.raises(ModelNotFoundError):
            pull(here, client, f"{plain.host}/a/both:1@sha256:{'0' * 64}", Told())
        assert here.find(f"{plain.host}/a/both:1").id == other.id
        pull(here, client, f"{plain.host}/a/both:1@{model.id}", Told())
    assert here.find(f"{plain.host}/a/both:1").id == model.id


def test_tag_with_the_digest_of_a_model_that_is_here_needs_no_network(here):
    model = add(here, "127.0.0.1:1/a/pinned:1", b"weights")
    with ImpatientClient() as client:
        outcome = pull(here, client, f"127.0.0.1:1/a/pinned:2@{model.id}", Told())
    assert outcome.is_cached
    assert outcome.model.tags == ["127.0.0.1:1/a/pinned:1", "127.0.0.1:1/a/pinned:2"]


def test_second_push_sends_no_blob_again(plain, there):
    add(there, f"{plain.host}/a/twice:1", WEIGHTS)
    first, second = Told(), Told()
    with RegistryClient(RegistryConfig(), ANONYMOUS) as client:
        push(there, client, f"{plain.host}/a/twice:1", first)
        push(there, client, f"{plain.host}/a/twice:1", second)
    assert len(first.currents(BLOB)) > 2
    assert second.currents(BLOB) == [len(WEIGHTS)]
    assert {each.total for each in first.events if each.type == "progress"} == {len(WEIGHTS)}


def test_pull_that_was_cancelled_continues_where_it_stopped(plain, here, there):
    add(there, f"{plain.host}/a/resumed:1", LARGE)

    def give_up(event):
        if event.layer_current > 8 * 2**20:
            raise GaveUp

    with RegistryClient(RegistryConfig(), ANONYMOUS) as client:
        push(there, client, f"{plain.host}/a/resumed:1", Told())
        with pytest.raises(GaveUp):
            pull(here, client, f"{plain.host}/a/resumed:1", give_up)
        kept = _kept(here)
        assert 2**20 <= kept < len(LARGE)
        told = Told()
        pull(here, client, f"{plain.host}/a/resumed:1", told)
    assert told.currents(Digest.of(LARGE).text)[0] >= kept
    assert here.find(f"{plain.host}/a/resumed:1").weight_paths[0].read_bytes() == LARGE
    assert list((here.path / ".pyrunner" / "incoming").iterdir()) == []


def test_registry_that_dies_half_way_is_an_error_and_the_next_pull_continues(tmp_path, here, there):
    with (
        running_registry(tmp_path) as registry,
        RegistryClient(RegistryConfig(), ANONYMOUS) as client,
    ):
        name = f"{registry.host}/a/died:1"
        add(there, name, LARGE)
        push(there, client, name, Told())

        def kill(event):
            if event.layer_current > 8 * 2**20:
                registry.kill()

        with ImpatientClient() as impatient, pytest.raises(RegistryUnavailableError):
            pull(here, impatient, name, kill)
    kept = _kept(here)
    assert 0 < kept < len(LARGE)
    told = Told()
    with (
        running_registry(tmp_path, port=registry.port),
        RegistryClient(RegistryConfig(), ANONYMOUS) as client,
    ):
        pull(here, client, name, told)
    assert told.currents(Digest.of(LARGE).text)[0] >= kept
    assert here.find(name).weight_paths[0].read_bytes() == LARGE


def test_registry_that_is_not_there_is_named(here):
    with ImpatientClient() as client, pytest.raises(RegistryUnavailableError) as caught:
        pull(here, client, "127.0.0.1:1/a/b", Told())
    assert "127.0.0.1:1" in str(caught.value)
    assert "refused" in str(caught.value)
    assert len(client.waits_s) == 2


@pytest.mark.parametrize("login", [ANONYMOUS, WRONG], ids=["anonymous", "wrong password"])
def test_basic_registry_refuses_who_may_not(basic, here, there, login):
    add(there, f"{basic.host}/a/b:1", b"weights")
    with ImpatientClient(login) as client:
        for store, action in ((here, pull), (there, push)):
            with pytest.raises(RegistryAuthError) as caught:
                action(store, client, f"{basic.host}/a/b:1", Told())
            assert (caught.value.status, caught.value.repository) == (401, "a/b")


def test_basic_registry_opens_with_dockers_own_config_file(basic, here, there, tmp_path):
    pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {basic.host: {"auth": pair}}}))
    login = DockerCredentials({"DOCKER_CONFIG": str(tmp_path)}.get)
    model = add(there, f"{basic.host}/a/c:1", b"weights")
    with RegistryClient(RegistryConfig(), login) as client:
        push(there, client, f"{basic.host}/a/c:1", Told())
        assert pull(here, client, f"{basic.host}/a/c:1", Told()).model.id == model.id


def test_token_registry_lets_anybody_pull_and_the_user_push(guarded, tokens, here, there):
    name = f"{guarded.host}/a/b:1"
    model = add(there, name, b"weights")
    with RegistryClient(RegistryConfig(), RIGHT) as client:
        push(there, client, name, Told())
    with RegistryClient(RegistryConfig(), ANONYMOUS) as client:
        assert pull(here, client, name, Told()).model.id == model.id
        with pytest.raises(RegistryAuthError):
            push(there, client, name, Told())
    assert set(tokens.asked) == {
        ("GET", "repository:a/b:pull"),
        ("GET", "repository:a/b:pull,push"),
    }


def test_token_registry_takes_an_identity_token(guarded, tokens, there):
    name = f"{guarded.host}/a/identity:1"
    add(there, name, b"weights")
    login = Login(Credential("<token>", IDENTITY_TOKEN, is_identity_token=True))
    with RegistryClient(RegistryConfig(), login) as client:
        push(there, client, name, Told())
    assert ("POST", "repository:a/identity:pull,push") in tokens.asked


def test_token_server_that_refuses_the_password_is_an_auth_error(guarded, here):
    with ImpatientClient(WRONG) as client, pytest.raises(RegistryAuthError):
        pull(here, client, f"{guarded.host}/a/b:1", Told())


def test_token_that_expired_is_replaced_once(guarded, tokens, here, there):
    name = f"{guarded.host}/a/expiring:1"
    model = add(there, name, b"weights")
    with RegistryClient(RegistryConfig(), RIGHT) as client:
        push(there, client, name, Told())
        tokens.asked.clear()
        tokens.lifetime_s = -500
        with pytest.raises(RegistryAuthError):
            pull(here, client, name, Told())
        assert len(tokens.asked) == 1
        tokens.lifetime_s = 300
        assert pull(here, client, name, Told()).model.id == model.id
        assert len(tokens.asked) == 2


def test_model_that_is_not_there_is_not_found(plain, here):
    with RegistryClient(RegistryConfig(), ANONYMOUS) as client:
        for name in ("a/nope", "nope/b:1", "a/b@sha256:" + "0" * 64):
            with pytest.raises(ModelNotFoundError) as caught:
                pull(here, client, f"{plain.host}/{name}", Told())
            assert caught.value.where == "registry"


def test_large_blob_goes_in_chunks(plain, there):
    model = add(there, f"{plain.host}/a/chunks:1", WEIGHTS)
    sent: list[int] = []
    with RegistryClient(RegistryConfig(), ANONYMOUS) as client:
        reference = model.references[0]
        upload = Upload(
            client, reference, threading.Event(), sent.append, chunk_bytes=5 * 2**20 + 1
        )
        upload.run(model.manifest.layers[0], model.weight_paths[0])
        assert client.has_blob(reference, BLOB)
    assert sent == sorted(sent)
    assert sent[-1] == len(WEIGHTS)


def test_skopeo_copies_from_the_store_to_a_registry_and_back(plain, here, there, tmp_path):
    model = add(there, f"{plain.host}/a/skopeo:1", b"weights")
    name = f"{plain.host}/a/skopeo:1"
    policy = tmp_path / "policy.json"
    policy.write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    skopeo = ["skopeo", "--policy", str(policy), "copy"]
    there_to_registry = ["--dest-tls-verify=false", f"oci:{there.path}:{name}", f"docker://{name}"]
    subprocess.run([*skopeo, *there_to_registry], check=True, capture_output=True)
    with RegistryClient(RegistryConfig(), ANONYMOUS) as client:
        assert pull(here, client, name, Told()).model.id == model.id
    assert blob_names(here) == blob_names(there)
