"""Logger names and the one place that sets logging up.

Every process logs to stderr, one line per record, control characters escaped so that nothing a
client sends can forge a line.
"""

import logging
import sys

_NAMES = frozenset({"cli", "engine", "models", "native", "registry", "runtime", "server", "worker"})
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), 127) if code != 9}


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        head, *traceback = text.split("\n") if record.exc_info else [text]
        return "\n".join([head.translate(_ESCAPES), *traceback])


def get(name: str) -> logging.Logger:
    """The logger of one package; `name` is the package's."""
    if name not in _NAMES:
        raise AssertionError(name)
    return logging.getLogger(f"pyrunner.{name}")


def set_up(level: str) -> None:
    """Send every pyrunner logger to stderr. Called once, by the process's entry point."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _OneLine(
            "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"
        )
    )
    root = logging.getLogger("pyrunner")
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    root.propagate = False
