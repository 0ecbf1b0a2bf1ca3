"""`app`: the server as a WSGI application, for any WSGI server.

Settings come from the environment and ``config.toml``. Nothing is read or opened before the first
request, so importing is free and a server that forks first gets one runtime per process. A vanished
client is noticed at the next write, where waitress notices it at once.
"""

import atexit
import threading
from collections.abc import Callable, Iterable
from typing import Any

from pyrunner import config, log
from pyrunner.server.app import App, create_application, open_dependencies

__all__ = ["app"]


class LazyApp:
    """Builds the application at the first request. Any thread.

    `_lock` protects `_app`.
    """

    def __init__(self, load: Callable[[], config.Settings]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._app: App | None = None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return self._built()(environ, start_response)

    def _built(self) -> App:
        with self._lock:
            if self._app is None:
                settings = self._load()
                log.set_up(settings.log.level)
                application = create_application(open_dependencies(settings))
                atexit.register(application.close, settings.runtime.drain_s)
                self._app = application.wsgi
            return self._app


app = LazyApp(config.load)
