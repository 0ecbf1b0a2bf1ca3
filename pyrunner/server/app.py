"""The application: which path is answered by what."""

from dataclasses import dataclass
from functools import partial

import falcon

from pyrunner.config import Settings
from pyrunner.models import catalog
from pyrunner.runtime.api import Runtime
from pyrunner.runtime.planning import Planner
from pyrunner.server import errors
from pyrunner.server.admission import Admission
from pyrunner.server.dependencies import Dependencies
from pyrunner.server.docker import engines, models, transferring
from pyrunner.server.docker.archives import Loading
from pyrunner.server.docker.logs import LogFiles, Logs
from pyrunner.server.docker.transfers import Transfers
from pyrunner.server.health import Greeting, Health, Version
from pyrunner.server.logfile import log_path
from pyrunner.server.middleware import AccessLog, PathMiddleware
from pyrunner.server.openai.models import ModelEntry, ModelList
from pyrunner.server.openai.resources import ChatCompletions, Completions, Embeddings, Reranking
from pyrunner.server.paths import OPENAI_PREFIXES, RERANK_PREFIXES
from pyrunner.server.registry import resources as registry
from pyrunner.server.security import HostRule, OriginRule, SecurityMiddleware
from pyrunner.server.uploads import LOAD_PATH
from pyrunner.server.waiting import ClientWatch

App = falcon.App[falcon.Request, falcon.Response]


@dataclass(frozen=True, slots=True)
class Application:
    """The WSGI application and what has to end with it."""

    wsgi: App
    dependencies: Dependencies
    transfers: Transfers

    def close(self, deadline_s: float) -> None:
        """End every answer, transfer and runner, `deadline_s` seconds for each of the latter."""
        self.dependencies.admission.close()
        self.transfers.close(deadline_s)
        self.dependencies.runtime.close(deadline_s)


def open_dependencies(settings: Settings) -> Dependencies:
    """The real collaborators; nothing is started, opened or made before its first use."""
    store = catalog.open_store(settings)
    return Dependencies(
        settings=settings,
        runtime=Runtime(settings, store),
        store=store,
        open_client=partial(catalog.open_client, settings),
        admission=Admission(n_streams=settings.server.n_streams),
    )


def create_app(dependencies: Dependencies) -> App:
    """Only the WSGI application, for those who end its collaborators themselves."""
    return create_application(dependencies).wsgi


def create_application(dependencies: Dependencies) -> Application:
    """Build the routes. Starts nothing."""
    server = dependencies.settings.server
    transfers = Transfers(dependencies.admission)
    app: App = falcon.App(
        middleware=[
            AccessLog(),
            PathMiddleware(),
            SecurityMiddleware(
                HostRule(bound=server.host, names=server.allowed_hosts),
                OriginRule(server.allowed_origins),
            ),
        ]
    )
    errors.install(app)
    app.add_route("/", Greeting())
    app.add_route("/version", Version())
    app.add_route("/healthz", Health(dependencies.admission))
    _add_openai(app, dependencies)
    _add_docker(app, dependencies, transfers)
    if server.registry:
        registry.add_routes(app, dependencies.store, dependencies.admission)
    return Application(app, dependencies, transfers)


def _add_openai(app: App, dependencies: Dependencies) -> None:
    chat, text = ChatCompletions(dependencies), Completions(dependencies)
    embeddings = Embeddings(dependencies)
    store, settings = dependencies.store, dependencies.settings
    planner = Planner(settings, store)
    model_list, model_entry = ModelList(store, planner), ModelEntry(store, planner)
    for prefix in OPENAI_PREFIXES:
        app.add_route(f"{prefix}/chat/completions", chat)
        app.add_route(f"{prefix}/completions", text)
        app.add_route(f"{prefix}/embeddings", embeddings)
        app.add_route(f"{prefix}/models", model_list)
        app.add_route(f"{prefix}/models/{{name:path}}", model_entry)
    reranking = Reranking(dependencies)
    for prefix in RERANK_PREFIXES:
        app.add_route(f"{prefix}/rerank", reranking)


def _add_docker(app: App, dependencies: Dependencies, transfers: Transfers) -> None:
    runtime, store = dependencies.runtime, dependencies.store
    settings, admission = dependencies.settings, dependencies.admission
    app.add_route("/models", models.ModelCollection(store))
    app.add_route("/models/create", transferring.Pulling(dependencies, transfers))
    app.add_route(LOAD_PATH, Loading(store, transfers, settings.server.max_load_bytes))
    app.add_route("/models/{name:path}", models.ModelItem(dependencies, transfers))
    app.add_route("/engines/status", engines.EngineStatus())
    app.add_route("/engines/ps", engines.Running(runtime))
    app.add_route("/engines/df", engines.DiskUsage(store))
    app.add_route("/engines/unload", engines.Unloading(runtime, settings.server.max_body_bytes))
    files = LogFiles(log_path(settings), runtime.log_paths)
    app.add_route("/logs", Logs(files, transfers, lambda req: ClientWatch(req.env, admission)))
