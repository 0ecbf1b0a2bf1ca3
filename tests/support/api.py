"""The application under test: scripted runtime, real store in a temporary folder."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from falcon import testing

from pyrunner import config
from pyrunner.models import catalog
from pyrunner.models.store import Store
from pyrunner.server.admission import Admission
from pyrunner.server.app import Application, create_application
from pyrunner.server.dependencies import Dependencies
from support.scripted_runtime import ScriptedRuntime

CHAT = {"model": "ai/tiny", "messages": [{"role": "user", "content": "hi"}]}


@dataclass
class Api:
    """One application and its parts."""

    application: Application
    runtime: ScriptedRuntime
    store: Store
    settings: config.Settings
    client: testing.TestClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = testing.TestClient(self.application.wsgi, headers={"Host": "localhost:12434"})

    def post(self, path: str, body: object = None, **more: Any) -> testing.Result:
        return self.client.simulate_post(path, json=body, **more)

    def get(self, path: str, **more: Any) -> testing.Result:
        return self.client.simulate_get(path, **more)


def make_api(home: Path, **settings: object) -> Api:
    """Build an application below `home`; settings as ``server_port=0``."""
    keys = {key.replace("_", ".", 1): value for key, value in settings.items()}
    loaded = config.load(keys, {"PYRUNNER_HOME": str(home)})
    runtime, store = ScriptedRuntime(), catalog.open_store(loaded)
    dependencies = Dependencies(
        settings=loaded,
        runtime=runtime,
        store=store,
        open_client=partial(catalog.open_client, loaded),
        admission=Admission(n_streams=loaded.server.n_streams),
        clock=lambda: 1_700_000_000.0,
    )
    return Api(create_application(dependencies), runtime, store, loaded)
