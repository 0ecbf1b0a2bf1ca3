"""Lists in pages: ``n`` and ``last`` (distribution specification 1.1, "Listing tags")."""

from collections.abc import Sequence
from urllib.parse import urlencode

import falcon

from pyrunner.server.registry.errors import Refusal, RefusedError

_MAX_DIGITS = 9


def page(req: falcon.Request, resp: falcon.Response, items: Sequence[str]) -> list[str]:
    """The page of `items`, which are in ASCII order, that a request asks for.

    When there are more, sets the ``Link`` to the next page.

    Raises:
        RefusedError: The page's size is no number.
    """
    last = req.get_param("last", default="")
    following = [each for each in items if each > last]
    text = req.get_param("n")
    if text is None:
        return following
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
        raise RefusedError(Refusal.PAGINATION_NUMBER_INVALID, text[:100])
    n_items = int(text)
    shown = following[:n_items]
    if shown and len(following) > n_items:
        query = urlencode({"n": n_items, "last": shown[-1]})
        resp.set_header("Link", f'<{req.path}?{query}>; rel="next"')
    return shown
