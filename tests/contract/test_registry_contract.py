import pytest
from contract.registry_contract import RegistryContract
from support.debian_registry import running_registry
from support.scripted_registry import scripted_registry


@pytest.fixture(scope="module")
def debian(tmp_path_factory):
    with running_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


class TestScriptedRegistry(RegistryContract):
    @pytest.fixture
    def host(self):
        with scripted_registry() as registry:
            yield registry.host


class TestDebianRegistry(RegistryContract):
    @pytest.fixture
    def host(self, debian):
        return debian.host
