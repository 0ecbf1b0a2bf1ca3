"""Sign, push, verify: over a real registry, with openssl and skopeo as witnesses."""

import base64
import json
import subprocess
from pathlib import Path

import pytest
from support.artifacts import add
from support.command_line import run
from support.debian_registry import running_registry
from support.programs import needs_skopeo
from support.scripted_registry import scripted_registry
from support.signing_keys import PASSWORD, encrypt, is_verified, make_keys

from pyrunner import config
from pyrunner.errors import SignatureMismatchError, SignatureNotFoundError
from pyrunner.models import catalog, signing
from pyrunner.models.store import Store
from pyrunner.registry import cosign
from pyrunner.registry.client import RegistryClient
from pyrunner.registry.digest import Digest
from pyrunner.registry.keys import load_private_key, load_public_key


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def other_keys(tmp_path_factory):
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def store(home):
    return _store(home)


def _store(home: Path):
    return catalog.open_store(config.load({}, {"PYRUNNER_HOME": str(home)}))


@pytest.fixture
def name(registry, request):
    """Every test has a repository of its own."""
    return f"{registry.host}/test/{request.node.name.split('[')[0]}:v1"


@pytest.fixture
def model(store, name):
    return add(store, name, name.encode())


@pytest.fixture
def pushed(home, name, model):
    done = run("push", name, home=home)
    assert done.returncode == 0, done.stderr
    return model


def _skopeo(*arguments: str) -> bytes:
    done = subprocess.run(["skopeo", *arguments], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def _sign(home: Path, name: str, key: Path) -> str:
    done = run("sign", "--key", str(key), name, home=home)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_signed_model_is_verified_by_its_key(home, name, pushed, keys):
    said = _sign(home, name, keys[0])
    tag = f"sha256-{Digest(pushed.id).hex}.sig"
    place = f"{name.removesuffix(':v1')}:{tag}"
    assert said == f"Pushed a signature of {name} ({pushed.id}) as {place}\n"
    done = run("verify", "--key", str(keys[1]), name, home=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{name} ({pushed.id}) is signed with {keys[1]}\n"


@pytest.mark.usefixtures("pushed")
def test_generated_keys_sign_and_verify(home, name):
    made = run("generate-key-pair", "--output-key-prefix", "mine", home=home)
    assert (made.returncode, made.stderr) == (0, "")
    _sign(home, name, Path("mine.key"))
    assert run("verify", "--key", "mine.pub", name, home=home).returncode == 0
    assert run("generate-key-pair", "--output-key-prefix", "mine", home=home).returncode == 2


@pytest.mark.usefixtures("pushed")
def test_model_that_is_not_in_the_store_is_verified_in_its_registry(home, name, keys):
    _sign(home, name, keys[0])
    assert run("rm", name, home=home).returncode == 0
    assert run("verify", "--key", str(keys[1]), name, home=home).returncode == 0


def test_model_by_digest_is_verified(home, name, pushed, keys):
    _sign(home, name, keys[0])
    by_digest = f"{name.removesuffix(':v1')}@{pushed.id}"
    assert run("verify", "--key", str(keys[1]), by_digest, home=home).returncode == 0


@pytest.mark.usefixtures("pushed")
def test_encrypted_key_signs_with_the_password_of_the_environment(home, name, keys):
    key = str(encrypt(keys[0]))
    done = run("sign", "--key", key, name, home=home)
    assert (done.returncode, "set COSIGN_PASSWORD" in done.stderr) == (2, True)
    done = run("sign", "--key", key, name, home=home, extra={"COSIGN_PASSWORD": PASSWORD})
    assert done.returncode == 0, done.stderr
    assert run("verify", "--key", str(keys[1]), name, home=home).returncode == 0


@needs_skopeo
def test_skopeo_sees_cosigns_layout_and_openssl_verifies_it(home, name, pushed, keys, tmp_path):
    _sign(home, name, keys[0])
    place = f"{name.removesuffix(':v1')}:sha256-{Digest(pushed.id).hex}.sig"
    manifest = json.loads(_skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{place}"))
    assert manifest["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
    [layer] = manifest["layers"]
    assert layer["mediaType"] == "application/vnd.dev.cosign.simplesigning.v1+json"
    inspected = json.loads(_skopeo("inspect", "--tls-verify=false", f"docker://{place}"))
    assert inspected["Layers"] == [layer["digest"]]
    policy = tmp_path / "policy.json"
    policy.write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    target = tmp_path / "copy"
    _skopeo(
        *("--policy", str(policy), "copy", "--src-tls-verify=false"),
        *(f"docker://{place}", f"oci:{target}:x"),
    )
    payload = target / "blobs" / "sha256" / layer["digest"].removeprefix("sha256:")
    claim = json.loads(payload.read_bytes())["critical"]
    assert claim["image"]["docker-manifest-digest"] == pushed.id
    signature = tmp_path / "signature"
    annotation = layer["annotations"]["dev.cosignproject.cosign/signature"]
    signature.write_bytes(base64.b64decode(annotation))
    assert is_verified(keys[1], signature, payload)


@pytest.mark.usefixtures("pushed")
def test_model_without_a_signature_is_refused(home, name, keys):
    done = run("verify", "--key", str(keys[1]), name, home=home)
    assert (done.returncode, "has no signature in its registry" in done.stderr) == (9, True)


@pytest.mark.usefixtures("pushed")
def test_signature_of_another_key_is_refused(home, name, keys, other_keys):
    _sign(home, name, keys[0])
    done = run("verify", "--key", str(other_keys[1]), name, home=home)
    assert (done.returncode, "none was made with this key" in done.stderr) == (9, True)


@pytest.mark.usefixtures("pushed")
def test_one_of_several_signatures_is_enough(home, name, keys, other_keys):
    _sign(home, name, keys[0])
    _sign(home, name, other_keys[0])
    for _, public in (keys, other_keys):
        assert run("verify", "--key", str(public), name, home=home).returncode == 0


@pytest.mark.usefixtures("pushed")
def test_signing_twice_with_one_key_adds_nothing(home, name, keys):
    _sign(home, name, keys[0])
    assert _sign(home, name, keys[0]).startswith("There already is this key's signature of ")


@pytest.mark.usefixtures("pushed")
def test_model_that_was_replaced_since_is_not_signed(home, store, name, keys):
    _sign(home, name, keys[0])
    add(store, name, b"other weights")
    done = run("verify", "--key", str(keys[1]), name, home=home)
    assert (done.returncode, "has no signature in its registry" in done.stderr) == (9, True)


def test_model_that_is_nowhere_is_not_found(home, name, keys):
    for command, key in (("sign", keys[0]), ("verify", keys[1])):
        done = run(command, "--key", str(key), name, home=home)
        assert done.returncode == 4


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("model", ["pyrunner/demo", "hf.co/org/model"])
def test_registry_that_takes_no_signatures_is_refused(home, keys, model):
    done = run("verify", "--key", str(keys[1]), model, home=home)
    assert (done.returncode, "takes no signatures" in done.stderr) == (2, True)


@pytest.fixture
def hostile():
    with scripted_registry() as scripted:
        yield scripted


@pytest.fixture
def client():
    with catalog.open_client(config.load({}, {})) as opened:
        yield opened


@pytest.fixture
def signed(hostile, store, client, keys):
    """A model with one right signature in a registry that a test then changes."""
    name = f"{hostile.host}/test/x:v1"
    add(store, name, b"weights")
    return signing.sign(store, client, name, load_private_key(keys[0]))


def _put(hostile, signed, layers) -> None:
    content, config_blob, config_content = cosign.artifact(layers)
    hostile.blobs[config_blob.digest] = config_content
    place = f"{signed.signature.repository}:{signed.signature.tag}"
    hostile.manifests[place] = (content, "application/vnd.oci.image.manifest.v1+json")


def _verify(
    store: Store, client: RegistryClient, signed: signing.Signed, keys: tuple[Path, Path]
) -> signing.Signed:
    return signing.verify(store, client, str(signed.reference), load_public_key(keys[1]))


def test_payload_that_the_registry_changed_is_refused(hostile, store, client, signed, keys):
    payload = cosign.encode_payload(signed.reference, signed.digest)
    hostile.blobs[Digest.of(payload)] = payload.replace(b"null", b"{} ")[: len(payload)]
    with pytest.raises(SignatureMismatchError, match="what was signed has been changed"):
        _verify(store, client, signed, keys)


def test_payload_that_is_gone_is_refused(hostile, store, client, signed, keys):
    del hostile.blobs[Digest.of(cosign.encode_payload(signed.reference, signed.digest))]
    with pytest.raises(SignatureMismatchError, match="what was signed is not there"):
        _verify(store, client, signed, keys)


def test_payload_changed_together_with_its_digest_is_refused(hostile, store, client, signed, keys):
    forged = cosign.encode_payload(signed.reference, signed.digest) + b" "
    signature = load_private_key(keys[0]).sign(forged.strip())
    layer = cosign.layer(forged, signature)
    hostile.blobs[layer.digest] = forged
    _put(hostile, signed, [layer])
    with pytest.raises(SignatureMismatchError, match="none was made with this key"):
        _verify(store, client, signed, keys)


def test_signature_of_another_model_is_refused_and_named(hostile, store, client, signed, keys):
    another = Digest.of(b"another model")
    payload = cosign.encode_payload(signed.reference, another)
    layer = cosign.layer(payload, load_private_key(keys[0]).sign(payload))
    hostile.blobs[layer.digest] = payload
    _put(hostile, signed, [layer])
    with pytest.raises(SignatureMismatchError, match=f"another model, {another}"):
        _verify(store, client, signed, keys)


def test_right_signature_among_wrong_ones_is_found(
    hostile, store, client, signed, keys, other_keys
):
    payload = cosign.encode_payload(signed.reference, signed.digest)
    another = cosign.encode_payload(signed.reference, Digest.of(b"another model"))
    right, wrong = load_private_key(keys[0]), load_private_key(other_keys[0])
    layers = [
        cosign.layer(payload, wrong.sign(payload)),
        cosign.layer(b"never uploaded", b"x"),
        cosign.layer(another, right.sign(another)),
        cosign.layer(payload, right.sign(payload)),
    ]
    hostile.blobs[layers[2].digest] = another
    _put(hostile, signed, layers)
    assert _verify(store, client, signed, keys).digest == signed.digest


def test_artifact_without_signatures_is_none(hostile, store, client, signed, keys):
    _put(hostile, signed, [])
    with pytest.raises(SignatureNotFoundError):
        _verify(store, client, signed, keys)
