"""Which requests may carry a large body: waitress spools every body before a handler sees it.

A large one goes to a temporary file of the system, so it costs disk and not memory.
"""

from copy import copy
from typing import Any

from pyrunner.server import refusals
from pyrunner.server.fairness import FairChannel
from pyrunner.server.paths import clean_path

LOAD_PATH = "/models/load"


def channel_class(max_load_bytes: int) -> type[Any]:
    """A waitress channel that takes a body of up to so many bytes at `LOAD_PATH`.

    Not from a web page, which says its origin: whether that is allowed is decided after the body
    was read.
    """

    class Parser(refusals.Parser):
        adj: Any

        def parse_header(self, header_plus: bytes) -> None:
            super().parse_header(header_plus)
            if clean_path(self.path) == LOAD_PATH and "ORIGIN" not in self.headers:
                roomy: Any = copy(self.adj)
                roomy.max_request_body_size = max_load_bytes
                self.adj = roomy

    class Channel(FairChannel):
        parser_class = Parser

    return Channel
