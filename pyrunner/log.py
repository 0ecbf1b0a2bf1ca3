"""Logger names and the one place that sets logging up.

Every process logs to stderr, one line per record, control characters escaped so that nothing a
client sends can forge a line. Lines of a traceback are indented, so that they cannot either.
"""

import logging
import sys
import time

_NAMES = frozenset({"cli", "engine", "models", "native", "registry", "runtime", "server", "worker"})
_LINE_BREAKS_AND_DIRECTION_MARKS = (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_ESCAPES = {
    **{code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != ord("\t")},
    **{code: f"\\u{code:04x}" for code in _LINE_BREAKS_AND_DIRECTION_MARKS},
}
_FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"
_TIME = "%Y-%m-%dT%H:%M:%S"


class _OneLine(logging.Formatter):
    converter = staticmethod(time.gmtime)  # the format ends in Z

    def format(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        record.asctime = self.formatTime(record, self.datefmt)
        lines = [self.formatMessage(record).translate(_ESCAPES)]
        if record.exc_info:
            traceback = self.formatException(record.exc_info).split("\n")
            lines += ["  " + line.translate(_ESCAPES) for line in traceback]
        return "\n".join(lines)


def get(name: str) -> logging.Logger:
    """The logger of one package; `name` is the package's."""
    if name not in _NAMES:
        raise AssertionError(name)
    return logging.getLogger(f"pyrunner.{name}")


def formatter() -> logging.Formatter:
    """The form of every log line: UTC time, level, logger, message."""
    return _OneLine(_FORMAT, _TIME)


def set_up(level: str) -> None:
    """Send every pyrunner logger to stderr. Called once, by the process's entry point."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter())
    root = logging.getLogger("pyrunner")
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    root.propagate = False
