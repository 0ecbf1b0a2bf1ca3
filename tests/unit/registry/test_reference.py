import pytest

from pyrunner.errors import ConfigError, InvalidReferenceError
from pyrunner.registry.reference import Reference, parse_registry

DIGEST = "sha256:" + "ab" * 32

TABLE = [
    ("gemma3", "docker.io/ai/gemma3:latest"),
    ("gemma3:v1", "docker.io/ai/gemma3:v1"),
    ("model:", "docker.io/ai/model:latest"),
    ("MyModel", "docker.io/ai/mymodel:latest"),
    ("MyModel:V1", "docker.io/ai/mymodel:V1"),
    ("myorg/model", "docker.io/myorg/model:latest"),
    ("registry.example.com/model", "registry.example.com/model:latest"),
    ("registry.example.com/a/b/c:t", "registry.example.com/a/b/c:t"),
    ("hf.co/org/model:Q4_K_M", "huggingface.co/org/model:Q4_K_M"),
    ("huggingface.co/Org/Model", "huggingface.co/org/model:latest"),
    ("docker.io/smollm2", "docker.io/ai/smollm2:latest"),
    ("index.docker.io/ai/smollm2", "docker.io/ai/smollm2:latest"),
    ("localhost/model", "localhost/model:latest"),
    ("localhost:5000/ai/model:v1", "localhost:5000/ai/model:v1"),
    ("localhost:5000", "docker.io/ai/localhost:5000"),
    ("[::1]:5000/ai/model", "[::1]:5000/ai/model:latest"),
    ("  smollm2\t", "docker.io/ai/smollm2:latest"),
    ("pyrunner/demo", "docker.io/pyrunner/demo:latest"),
    (f"ai/x@{DIGEST}", f"docker.io/ai/x@{DIGEST}"),
    (f"ai/x:v1@{DIGEST}", f"docker.io/ai/x:v1@{DIGEST}"),
    (f"x:@{DIGEST}", f"docker.io/ai/x@{DIGEST}"),
    ("registry-1.docker.io/ai/x", "docker.io/ai/x:latest"),
    ("abcdef012345", "docker.io/ai/abcdef012345:latest"),
    ("a__b/c---d.e_f", "docker.io/a__b/c---d.e_f:latest"),
]


@pytest.mark.parametrize(("text", "canonical"), TABLE, ids=[text for text, _ in TABLE])
def test_reference_is_normalised_as_the_product_does(text, canonical):
    assert str(Reference.parse(text)) == canonical


@pytest.mark.parametrize("canonical", [canonical for _, canonical in TABLE])
def test_reference_canonical_and_familiar_forms_read_back_equal(canonical):
    reference = Reference.parse(canonical)
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar) == reference


@pytest.mark.parametrize(
    ("text", "familiar"),
    [
        ("docker.io/ai/smollm2:latest", "smollm2"),
        ("docker.io/ai/smollm2:360M", "smollm2:360M"),
        ("docker.io/pyrunner/demo:latest", "pyrunner/demo"),
        ("docker.io/a.b/c", "docker.io/a.b/c"),
        ("localhost:5000/ai/x:latest", "localhost:5000/ai/x"),
        (f"docker.io/ai/x@{DIGEST}", f"x@{DIGEST}"),
        (f"docker.io/ai/x:latest@{DIGEST}", f"x:latest@{DIGEST}"),
    ],
)
def test_reference_familiar_form_leaves_out_what_parse_adds(text, familiar):
    assert Reference.parse(text).familiar == familiar


def test_reference_defaults_complete_names_without_a_registry_only():
    given = {"default_registry": "reg.example:5000", "default_org": "team"}
    assert str(Reference.parse("x", **given)) == "reg.example:5000/team/x:latest"
    assert str(Reference.parse("a/x", **given)) == "reg.example:5000/a/x:latest"
    assert str(Reference.parse("other.example/x", **given)) == "other.example/x:latest"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"default_registry": "registry"}, r"registry\.default_registry.*a dot or a port"),
        ({"default_registry": "reg.example/x"}, r"registry\.default_registry.*character 12"),
        ({"default_org": "team a"}, r"registry\.default_org.*character 5"),
        ({"default_org": ""}, r"registry\.default_org.*character 1"),
    ],
)
def test_reference_default_that_can_be_in_no_reference_is_a_wrong_setting(given, message):
    with pytest.raises(ConfigError, match=message):
        Reference.parse("x", **given)


def test_reference_default_registry_may_be_another_name_of_docker_hub():
    assert str(Reference.parse("x", default_registry="index.docker.io")) == "docker.io/ai/x:latest"


def test_reference_with_tag_and_digest_keeps_both_and_asks_for_the_digest():
    reference = Reference.parse(f"ai/x:v1@{DIGEST}")
    assert (reference.tag, reference.digest, reference.target) == ("v1", DIGEST, DIGEST)


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("x", "docker.io/ai/x:latest"),
        (f"x:v1@{DIGEST}", "docker.io/ai/x:v1"),
        (f"x@{DIGEST}", f"docker.io/ai/x@{DIGEST}"),
    ],
)
def test_reference_is_stored_by_its_tag_and_only_without_one_by_its_digest(text, stored):
    assert Reference.parse(text).stored_name == stored


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("", 0),
        ("   ", 0),
        ("a b", 1),
        ("  a b", 3),
        ("a\0b", 1),
        ("mod\u00e9l", 3),
        ("\u0130stanbul", 0),
        ("-a", 0),
        ("a-", 1),
        ("a..b", 1),
        ("a___b", 1),
        ("a//b", 2),
        ("/a", 0),
        ("a/", 2),
        ("../../etc/passwd", 0),
        ("a/../b", 2),
        ("a:b:c", 3),
        (":v1", 0),
        ("a:-v", 2),
        ("a:" + "t" * 129, 130),
        ("a:v$", 3),
        ("host.example:99999/a", 12),
        ("host.example:x/a", 12),
        ("-host.example/a", 0),
        ("a@", 2),
        ("a@sha256:12", 11),
        ("a@md5:12", 2),
        (DIGEST, 0),
        ("  " + "ab" * 32, 2),
        ("x@" + DIGEST.upper(), 2),
        (f"x@{DIGEST}:v1", 73),
        (f"x@{DIGEST}@{DIGEST}", 73),
        ("x:\x1b[2J", 2),
        ("x:v\n1", 3),
        ("ai/\u202ex", 3),
        ("%2e%2e/x", 0),
        ("ai/x%00", 4),
        ("ai\\x", 2),
        ("ai/x?tag=1", 4),
        ("user:password@reg.example/x", 14),
        ("a" * 255, 254),
        ("a" * 2000, 1024),
        ("registry.example/" + "a/" * 200 + "b", 255),
        ("http://x/y", 4),
        ("hf.co/", 6),
        ("[12]:5000/a", 0),
        ("[:::]/a", 0),
    ],
)
def test_reference_refuses_hostile_text_and_points_at_the_character(text, at):
    with pytest.raises(InvalidReferenceError) as caught:
        Reference.parse(text)
    assert caught.value.at == at


@pytest.mark.parametrize(
    ("text", "registry"),
    [
        ("reg.example", "reg.example"),
        (" REG.example:5000 ", "reg.example:5000"),
        ("https://reg.example/v2/", "reg.example"),
        ("http://localhost", "localhost"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("hf.co", "huggingface.co"),
    ],
)
def test_registry_is_read_however_it_is_written(text, registry):
    assert parse_registry(text) == registry


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("", 0),
        ("registry", 0),
        (" reg.example/team", 13),
        ("https://reg.example/v1/x", 20),
        ("reg.example:99999", 11),
        ("https://me@reg.example", 10),
        ("reg.exa mple", 7),
        ("ftp://reg.example", 3),
    ],
)
def test_registry_that_is_none_is_refused_at_the_character(text, at):
    with pytest.raises(InvalidReferenceError) as caught:
        parse_registry(text)
    assert caught.value.at == at


@pytest.mark.parametrize(
    "parts",
    [
        ("docker.io", "AI/x", "latest", None),
        ("docker.io", "ai/x", "a/b", None),
        ("docker.io/ai", "x", "latest", None),
        ("docker.io", "ai/x", None, None),
        ("docker.io", "ai/x", None, "sha256:1"),
        ("registry", "ai/x", "latest", None),
    ],
)
def test_reference_constructor_refuses_what_parse_would(parts):
    with pytest.raises(InvalidReferenceError):
        Reference(*parts)
