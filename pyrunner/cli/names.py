"""What may be done with the name that a person typed, known before anything is sent or packaged."""

from pyrunner import config
from pyrunner.cli.library import Library
from pyrunner.errors import InvalidParameterError, ModelNotFoundError, NameNeededError

_TAG_FIRST = "push the model under a name of yours (see: pyrunner tag)"


def check_pushable(settings: config.Settings, library: Library, text: str) -> None:
    """Refuse to push what names no place that takes it.

    Args:
        settings: How short names are completed.
        library: Knows which models are there.
        text: As it was typed.

    Raises:
        InvalidReferenceError: It is no name.
        NameNeededError: It is the id of a model.
        InvalidParameterError: It names a digest, the model that ships with us, or Hugging Face.
    """
    from pyrunner.models.lookup import is_name

    if not is_name(text):
        _refuse_id(library, text)
    check_push_target(settings, text)


def _refuse_id(library: Library, text: str) -> None:
    try:
        model = library.inspect(text)
    except ModelNotFoundError:
        return  # twelve hex digits may be a name after all
    if model["id"].startswith(f"sha256:{text.removeprefix('sha256:')}"):
        raise NameNeededError(text=text, names=", ".join(model.get("tags") or ()))


def check_push_target(settings: config.Settings, text: str) -> None:
    """`check_pushable`, of a name that nothing has yet.

    Raises:
        InvalidReferenceError: It is no name.
        InvalidParameterError: It names a digest, the model that ships with us, or Hugging Face.
    """
    from pyrunner.models import catalog
    from pyrunner.registry.reference import HUGGING_FACE

    store = catalog.open_store(settings)
    reference = store.parse(text)
    if reference.digest is not None:
        raise _not_pushable(text, "names a digest")
    if store.is_builtin(reference):
        raise _not_pushable(text, "ships with pyrunner")
    if reference.registry == HUGGING_FACE:
        raise _not_pushable(text, "is on Hugging Face, which takes no pushes")


def _not_pushable(text: str, why: str) -> InvalidParameterError:
    return InvalidParameterError(param=text, problem=f"{why}; {_TAG_FIRST}")
