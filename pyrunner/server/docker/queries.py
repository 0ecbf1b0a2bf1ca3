"""Query parameters as Go reads them."""

import falcon

from pyrunner import log

_logger = log.get("server")

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def parse_bool(text: str) -> bool | None:
    """Go's ``ParseBool``; None for anything else."""
    if text in _TRUE:
        return True
    return False if text in _FALSE else None


def flag(req: falcon.Request, name: str) -> bool:
    """A switch of the model routes: ``?force`` and ``?force=true`` are on, nonsense is off."""
    text = req.get_param(name)
    if text is None:
        return False
    parsed = True if not text else parse_bool(text)
    if parsed is None:
        _logger.warning("query parameter %s=%r is no boolean and counts as false", name, text[:100])
    return bool(parsed)
