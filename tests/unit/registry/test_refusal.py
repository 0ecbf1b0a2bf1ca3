import pytest

from pyrunner.errors import PushRefusedError, RegistryProtocolError
from pyrunner.registry.refusal import refused


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (405, "", PushRefusedError),
        (400, " - UNSUPPORTED: this registry is read-only", PushRefusedError),
        (400, " - MANIFEST_INVALID: UNSUPPORTED: yes", RegistryProtocolError),
        (418, "", RegistryProtocolError),
    ],
)
def test_registry_that_takes_no_pushes_is_told_from_one_that_breaks_the_protocol(
    status, said, expected
):
    error = refused("reg.example", status, said, is_push=True)
    assert type(error) is expected
    assert type(refused("reg.example", status, said, is_push=False)) is RegistryProtocolError
    assert f"HTTP {status}{said}" in error.sentence


def test_read_only_registry_is_not_blamed_on_a_proxy():
    assert refused("reg.example", 405, " - UNSUPPORTED: read-only", is_push=True).sentence == (
        "reg.example does not accept pushes: HTTP 405 - UNSUPPORTED: read-only."
    )
