"""``POST /models/{name}/repackage``: the same weights with another context size."""

import falcon
import msgspec

from pyrunner.errors import InvalidParameterError, ModelNotFoundError, PyrunnerError
from pyrunner.models.packaging import PackageOptions, package
from pyrunner.server.body import convert, read_json
from pyrunner.server.dependencies import Dependencies
from pyrunner.server.errors import refuse_text, respond_error, respond_json


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    target: str = ""
    context_size: int | None = None


class Repackaging:
    """`ModelItem` routes to it."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._store = dependencies.store
        self._max_body_bytes = dependencies.settings.server.max_body_bytes

    def repackage(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Package a model of the store under a new name; its blobs are shared."""
        try:
            asked = convert(read_json(req, self._max_body_bytes), _Body)
            if not asked.target:
                refuse_text(resp, 400, "target is required", "invalid_parameter")
                return
            options = PackageOptions(source=name, context_size=asked.context_size)
            package(self._store, options, asked.target, lambda _message: None)
        except ModelNotFoundError as error:
            respond_error(req, resp, error, "model not found")
        except InvalidParameterError as error:
            respond_error(req, resp, error, f"invalid request body: {error.sentence}")
        except PyrunnerError as error:
            respond_error(req, resp, error, f"error while repackaging model: {error.sentence}")
        else:
            message = f'Model repackaged successfully as "{asked.target}"'
            document = {"message": message, "source": name, "target": asked.target}
            respond_json(resp, 201, document)
