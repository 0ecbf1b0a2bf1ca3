"""Skopeo reads the live store; what it cannot see is listed in docs/distribution.md."""

import json
import subprocess

import pytest
from support.artifacts import add, new_store
from support.programs import needs_skopeo
from support.tree import ROOT

from pyrunner.models.artifact import CONFIG_V01
from pyrunner.registry.manifest import REF_NAME
from pyrunner.registry.reference import Reference

pytestmark = needs_skopeo

DIGEST = "sha256:" + "ab" * 32

VISIBLE = [
    "docker.io/ai/smollm2:latest",
    "docker.io/ai/smollm2:360M-Q4_K_M",
    "localhost:5000/ai/smollm2:v1.2-rc.3",
    "reg.example.com:5000/team/deep/er/model:Q8_0",
    "huggingface.co/org/model.name:UD-Q4_K_XL",
    "docker.io/a_b/c--d:1",
]
INVISIBLE = [
    "docker.io/ai/a__b:latest",
    "docker.io/ai/a---b:latest",
    "docker.io/ai/a:_v1",
    "docker.io/ai/a:v1.",
    "docker.io/ai/a:v1-",
    "docker.io/ai/a:v1_",
    "docker.io/ai/a:v1..2",
    "docker.io/ai/a:v1__2",
    "docker.io/ai/a:v1.-2",
    "[::1]:5000/ai/a:v1",
]


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path)


def _skopeo(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["skopeo", *arguments], capture_output=True, check=False)


@pytest.mark.parametrize("name", VISIBLE)
def test_skopeo_reads_the_manifest_of_the_live_store(store, name):
    model = add(store, name, b"weights")
    add(store, "docker.io/ai/another:1", b"other")
    add(store, None, b"untagged")
    done = _skopeo("inspect", "--raw", f"oci:{store.path}:{name}")
    assert done.stdout == store.manifest_bytes(model), done.stderr.decode()


def test_skopeo_reads_a_model_pulled_by_digest(store):
    model = add(store, f"docker.io/ai/x@{DIGEST}", b"weights")
    done = _skopeo("inspect", "--raw", f"oci:{store.path}:docker.io/ai/x@{DIGEST}")
    assert done.stdout == store.manifest_bytes(model), done.stderr.decode()


def test_skopeo_reads_each_of_two_names(store):
    model = add(store, "docker.io/ai/x:1", b"weights")
    store.tag("x:1", "localhost:5000/y:2")
    for name in ("docker.io/ai/x:1", "localhost:5000/y:2"):
        done = _skopeo("inspect", "--raw", f"oci:{store.path}:{name}")
        assert done.stdout == store.manifest_bytes(model), done.stderr.decode()


@pytest.mark.parametrize("name", INVISIBLE)
def test_legal_name_that_skopeo_cannot_see_works_in_pyrunner(store, name):
    assert str(Reference.parse(name)) == name
    assert add(store, name, b"weights") == store.find(name)
    assert _skopeo("inspect", "--raw", f"oci:{store.path}:{name}").returncode != 0


def test_documentation_lists_what_skopeo_cannot_see():
    text = (ROOT / "docs" / "distribution.md").read_text()
    assert [name for name in INVISIBLE if f"`{name}`" not in text] == []


def test_skopeo_copies_a_model_out_of_the_store_byte_by_byte(store, tmp_path):
    model = add(store, "docker.io/ai/x:1", b"weights")
    policy = tmp_path / "policy.json"
    policy.write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    target = tmp_path / "copy"
    done = _skopeo(
        *("--policy", str(policy), "copy"),
        *(f"oci:{store.path}:docker.io/ai/x:1", f"oci:{target}:docker.io/ai/x:1"),
    )
    assert done.returncode == 0, done.stderr.decode()
    [entry] = json.loads((target / "index.json").read_bytes())["manifests"]
    assert entry["digest"] == model.id
    assert entry["annotations"][REF_NAME] == "docker.io/ai/x:1"
    names = {each.name for each in (target / "blobs" / "sha256").iterdir()}
    assert names == {each.removeprefix("sha256:") for each in model.digests}
    assert model.manifest.config.media_type == CONFIG_V01
