import pytest
from contract.runtime_contract import RuntimeContract
from support.scripted_runtime import ScriptedRuntime
from support.workshop import Workshop

from pyrunner.errors import RequestCancelledError
from pyrunner.runtime.runner import IsCancelled


class TestScriptedRuntime(RuntimeContract):
    @pytest.fixture
    def runtime(self):
        def load(is_cancelled: IsCancelled) -> None:
            if is_cancelled():
                raise RequestCancelledError(during="loading")

        return ScriptedRuntime(known=frozenset({"ai/a"}), on_load=load)


class TestRuntime(RuntimeContract):
    @pytest.fixture
    def runtime(self, home):
        with Workshop(home) as shop:
            shop.add("ai/a")
            yield shop.runtime()
