"""Others pull from a pyrunner that serves its store: another pyrunner, skopeo, oras."""

import json
import subprocess
import tempfile
from pathlib import Path

import pytest
from oras.provider import Registry
from support.artifacts import add
from support.command_line import run
from support.programs import needs_skopeo
from support.registry_face import serving_registry

from pyrunner import config
from pyrunner.models import catalog
from pyrunner.registry.digest import Digest
from pyrunner.server.logfile import log_path

WEIGHTS = bytes(range(256)) * (64 * 1024)
"""16 MiB."""


def _store(home: Path):
    return catalog.open_store(config.load({}, {"PYRUNNER_HOME": str(home)}))


@pytest.fixture(scope="module")
def far():
    """A home with two models."""
    with tempfile.TemporaryDirectory(prefix="pyr-") as name:
        home = Path(name)
        add(_store(home), "ai/tiny:v1", WEIGHTS)
        add(_store(home), "localhost:5000/test/other:v2", b"other")
        yield home


@pytest.fixture(scope="module")
def host(far):
    with serving_registry(far) as url:
        yield url


@pytest.fixture(scope="module")
def model(far):
    return _store(far).find("ai/tiny:v1")


@pytest.mark.parametrize("name", ["ai/tiny:v1", "docker.io/ai/tiny:v1"])
def test_another_pyrunner_pulls_the_very_same_model(home, host, model, name):
    done = run("pull", f"{host}/{name}", home=home)
    assert done.returncode == 0, done.stderr
    pulled = _store(home).find(f"{host}/{name}")
    assert pulled.id == model.id
    assert pulled.weight_paths[0].read_bytes() == WEIGHTS


def test_a_pull_that_was_broken_off_goes_on_by_range(home, far, host, model):
    store, [layer] = _store(home), model.manifest.layers
    with store.lease([layer.digest]) as lease:
        sink = store.incoming(layer, lease)
        assert sink is not None
        with sink:
            sink.write(WEIGHTS[:10_000_000])
    done = run("pull", f"{host}/ai/tiny:v1", home=home)
    assert done.returncode == 0, done.stderr
    assert store.find(f"{host}/ai/tiny:v1").id == model.id
    assert store.blobs.path(layer.digest).read_bytes() == WEIGHTS
    log = log_path(config.load({}, {"PYRUNNER_HOME": str(far)})).read_text()
    assert f"GET /v2/ai/tiny/blobs/{layer.digest} 206 " in log


def test_a_model_of_another_registry_is_reached_by_its_host(home, host):
    name = f"{host}/localhost_5000/test/other:v2"
    assert run("pull", name, home=home).returncode == 0
    assert _store(home).find(name).weight_paths[0].read_bytes() == b"other"


def test_what_is_not_there_is_not_found(home, host):
    done = run("pull", f"{host}/ai/none", home=home)
    assert (done.returncode, "was not found in the registry" in done.stderr) == (4, True)


def test_a_push_to_it_is_refused(home, host):
    name = f"{host}/ai/mine:v1"
    add(_store(home), name, b"mine")
    done = run("push", name, home=home)
    assert done.returncode == 6
    assert "does not accept pushes" in done.stderr
    assert "proxy" not in done.stderr


def _skopeo(*arguments: str) -> bytes:
    done = subprocess.run(["skopeo", *arguments], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@needs_skopeo
def test_skopeo_inspects_the_manifest(host, far, model):
    for name in ("ai/tiny:v1", f"ai/tiny@{model.id}", "docker.io/ai/tiny:v1"):
        raw = _skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{host}/{name}")
        assert raw == _store(far).manifest_bytes(model)


@needs_skopeo
def test_skopeo_lists_the_tags(host):
    listed = _skopeo("list-tags", "--tls-verify=false", f"docker://{host}/ai/tiny")
    assert json.loads(listed)["Tags"] == ["v1"]


@needs_skopeo
def test_skopeo_copies_the_model(host, model, tmp_path):
    policy = tmp_path / "policy.json"
    policy.write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    target = tmp_path / "copy"
    _skopeo(
        *("--policy", str(policy), "copy", "--src-tls-verify=false"),
        *(f"docker://{host}/ai/tiny:v1", f"oci:{target}:v1"),
    )
    blobs = {each.name: each for each in (target / "blobs" / "sha256").iterdir()}
    assert set(blobs) == {each.removeprefix("sha256:") for each in model.digests}
    assert blobs[model.manifest.layers[0].digest.hex].read_bytes() == WEIGHTS


def test_oras_reads_manifest_tags_and_blobs(host, model):
    registry = Registry(insecure=True)
    container = registry.get_container(f"{host}/ai/tiny:v1")
    manifest = registry.get_manifest(container, allowed_media_type=[model.manifest.media_type])
    assert registry.get_tags(container) == ["v1"]
    digests = [layer["digest"] for layer in manifest["layers"]]
    assert digests == [each.digest for each in model.manifest.layers]
    with registry.get_blob(container, digests[0], stream=True) as blob:
        assert Digest.of(blob.content) == digests[0]
