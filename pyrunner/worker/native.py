"""The real backend: the engine and the chat format over one loaded model."""

import logging
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pyrunner import log
from pyrunner.errors import ModelFileError
from pyrunner.types import ChatRequest, ModelMode
from pyrunner.wire.launch import Launch
from pyrunner.worker.ports import Loop, OnProgress, Prompts, Rendered

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunner._native import Model
    from pyrunner.chat.conversation import ChatFormat

MAX_TEMPLATE_BYTES = 1024 * 1024
"""Longest chat template file that is read."""

_native_logger = log.get("native")

_LEVELS = {1: logging.DEBUG, 2: logging.INFO, 3: logging.WARNING, 4: logging.ERROR}
"""ggml's levels."""


def _no_log() -> None:
    """The log of native code that is not imported yet."""


class NativeBackend:
    """Loads GGUF files with llama.cpp."""

    def __init__(self) -> None:
        self._drain_log: Callable[[], tuple[int, str] | None] = _no_log

    def load(self, launch: Launch, on_progress: OnProgress, /) -> tuple[Loop, Prompts] | None:
        """Load in the engine thread; see `ports.Backend`."""
        # Importing native code takes longer than everything else before loading, and by now the
        # I/O thread answers already.
        from pyrunner._native import drain_log  # noqa: PLC0415 - see above
        from pyrunner.engine.loading import load_model  # noqa: PLC0415 - see above
        from pyrunner.engine.loop import EngineLoop  # noqa: PLC0415 - see above

        self._drain_log = drain_log
        template = _template(launch.chat_template_path)
        model = load_model(launch.weight_paths, launch.engine, on_progress)
        if model is None:
            return None
        can_generate = launch.mode is ModelMode.COMPLETION
        loop = EngineLoop(model, launch.engine, can_generate=can_generate)
        return loop, NativePrompts(model, template)

    def pass_on_log(self) -> None:
        """Empty llama.cpp's log ring into ours."""
        while (line := self._drain_log()) is not None:
            level, text = line
            _native_logger.log(_LEVELS.get(level, logging.INFO), "%s", text)


class NativePrompts:
    """Templates and tokens of one model. Only the I/O thread uses it.

    Args:
        model: Loaded.
        template: Jinja text that replaces the model's own.
    """

    def __init__(self, model: "Model", template: str | None) -> None:
        self._model = model
        self._template = template

    def render(self, request: ChatRequest) -> Rendered:
        """Apply the chat template. Raises TemplateError, also for a template that is broken."""
        return self._chat_format.render(request)

    def tokenize(self, text: str) -> list[int]:
        """Tokens of a raw prompt or embedding input; special tokens are read as llama-server does.

        SAFETY(worker): control tokens in the text count, which is what a raw prompt is for.
        """
        return self._model.tokenize(text, add_special=True, parse_special=True)

    @cached_property
    def _chat_format(self) -> "ChatFormat":
        # Not at loading: a model with a broken template can still complete and embed.
        from pyrunner.chat.conversation import ChatFormat  # noqa: PLC0415 - native, too

        return ChatFormat(self._model, self._template)


def _template(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_TEMPLATE_BYTES + 1)
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFileError(path=path, problem=str(error)) from error
    if len(data) > MAX_TEMPLATE_BYTES:
        raise ModelFileError(path=path, problem=f"is longer than {MAX_TEMPLATE_BYTES} bytes")
    return text
