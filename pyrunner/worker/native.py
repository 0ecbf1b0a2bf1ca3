"""The real backend: the engine and the chat format over one loaded model."""

import importlib
import logging
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pyrunner import log
from pyrunner.engine.inputs import check_input
from pyrunner.engine.ranking import pairs
from pyrunner.engine.sampling import prepare_sampling
from pyrunner.errors import ContextLengthError, InvalidRequestError, ModelFileError, item_name
from pyrunner.gguf import check_embeds
from pyrunner.types import (
    MAX_CHAT_TEMPLATE_BYTES,
    ChatRequest,
    ModelMode,
    OutputFormat,
    SamplingParams,
)
from pyrunner.wire.launch import Launch
from pyrunner.worker.ports import Loop, OnProgress, Prompts, Rendered

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Sequence

    from pyrunner._native import LaneState, Model
    from pyrunner.chat.call_format import CallFormat
    from pyrunner.chat.calls import CallGrammars
    from pyrunner.chat.conversation import ChatFormat
    from pyrunner.chat.grammar import Grammars
    from pyrunner.engine.constraint import Constraint
    from pyrunner.engine.disk_tier import DiskTier

_logger = log.get("worker")
_native_logger = log.get("native")

_LEVELS = {2: logging.DEBUG, 3: logging.WARNING, 4: logging.ERROR}
"""Of ggml's levels; its "info" is more than a hundred lines for every model that loads."""

_LATER = ("pyrunner.engine.loop", "pyrunner.chat.conversation")
"""Needed once the model is there, and imported while native code loads it, or before."""


def _no_log() -> None:
    """The log of native code that is not imported yet."""


class NativeBackend:
    """Loads GGUF files with llama.cpp."""

    def __init__(self) -> None:
        self._drain_log: Callable[[], tuple[int, str] | None] = _no_log

    def warm_up(self) -> None:
        """Import everything; see `ports.Backend`."""
        _import_the_rest()

    def load(self, launch: Launch, on_progress: OnProgress, /) -> tuple[Loop, Prompts] | None:
        """Load in the engine thread; see `ports.Backend`."""
        # Importing native code takes longer than everything else before loading, and by now the
        # I/O thread answers already.
        from pyrunner._native import drain_log  # noqa: PLC0415 - see above
        from pyrunner.engine.drafting import load_models  # noqa: PLC0415 - see above

        self._drain_log = drain_log
        template = _template(launch.chat_template_path)
        threading.Thread(target=_import_the_rest, name="imports").start()
        loaded = load_models(
            launch.weight_paths,
            launch.draft_paths,
            launch.engine,
            on_progress,
            checked=launch.stamps,
            has_draft_heads=launch.has_draft_heads,
        )
        if loaded is None:
            return None
        model, draft = loaded
        from pyrunner.engine.loop import EngineLoop  # noqa: PLC0415 - see above

        can_generate = launch.mode is ModelMode.COMPLETION
        disk = _disk_tier(launch, model) if can_generate else None
        loop = EngineLoop(model, launch.engine, can_generate=can_generate, disk=disk, draft=draft)
        return loop, NativePrompts(
            model, template, n_ctx=loop.info.n_ctx_max, n_embedded_max=loop.n_embedded_max
        )

    def pass_on_log(self) -> None:
        """Empty llama.cpp's log ring into ours."""
        while (line := self._drain_log()) is not None:
            level, text = line
            _native_logger.log(_LEVELS.get(level, logging.DEBUG), "%s", text)


class NativePrompts:
    """Templates and tokens of one model. Only the prompt thread uses it.

    Args:
        model: Loaded.
        template: Jinja text that replaces the model's own.
        n_ctx: Tokens a prompt can have. A text that cannot fit whatever its tokens are is refused
            before the time for rendering and tokenising it is spent, which every other prompt of
            this worker would have to wait for.
        n_embedded_max: The same of a text to embed, and of a query with a document.
    """

    def __init__(
        self, model: "Model", template: str | None, *, n_ctx: int, n_embedded_max: int
    ) -> None:
        self._model = model
        self._template = template
        self._n_ctx = n_ctx
        self._n_embedded_max = n_embedded_max
        # Only here does no token stand for more text than the vocabulary's longest: other
        # tokenisers drop white space, or make one token of a word they do not know.
        self._is_lossless = model.meta("tokenizer.ggml.model") == "gpt2"

    def render(self, request: ChatRequest) -> Rendered:
        """Apply the chat template.

        Raises:
            ContextLengthError: Too much text for the context.
            TemplateError: Also for a template that is broken.
        """
        n_characters = sum(len(each.content or "") for each in request.messages)
        self._check_length(n_characters, self._n_ctx)
        return self._chat_format.render(request)

    def prepare(self, sampling: SamplingParams) -> None:
        """Do what takes long before the engine sees the request.

        Raises:
            InvalidParameterError: A parameter is outside its range.
        """
        prepare_sampling(self._model, sampling)

    def constrain(self, output: OutputFormat) -> "Constraint":
        """Compile a format for one answer.

        Raises:
            InvalidParameterError: It asks for what cannot be guaranteed.
        """
        return self._grammars.constraint(output)

    def constrain_calls(self, calls: "CallFormat") -> "Constraint | None":
        """Compile a form of tool calls for one answer.

        Returns:
            None when it cannot be followed and the client was promised nothing, which is logged.

        Raises:
            InvalidParameterError: It cannot be followed, and was promised.
            UnsupportedParameterError: As above; the model has no such form.
        """
        try:
            return self._call_grammars.constraint(calls)
        except InvalidRequestError as error:
            if calls.is_promised:
                raise
            _logger.warning("tool calls are not held to their form: %s", error)
            return None

    def tokenize(self, text: str) -> list[int]:
        """Tokens of a raw prompt; special tokens are read as llama-server does.

        SAFETY(worker): control tokens in the text count, which is what a raw prompt is for.

        Raises:
            ContextLengthError: Too much text for the context.
        """
        self._check_length(len(text), self._n_ctx)
        return self._tokens_of(text)

    def inputs(self, texts: "Sequence[str | Sequence[int]]") -> "list[Sequence[int]]":
        """Tokens of what is to become vectors; special tokens as of a raw prompt.

        Raises:
            ContextLengthError: Too much text for the context, which is named by its place.
            InvalidParameterError: This model ranks; or a token is outside the vocabulary.
        """
        check_embeds(ranks=self._model.n_scores > 0)
        found: list[Sequence[int]] = []
        for i, text in enumerate(texts):
            name, n_most = item_name("input", i, len(texts)), self._n_embedded_max
            if isinstance(text, str):
                self._check_length(len(text), n_most, param=name)
                tokens: Sequence[int] = self._tokens_of(text)
            else:
                tokens = text
            check_input(tokens, name, n_most=n_most, n_vocab=self._model.n_vocab)
            found.append(tokens)
        return found

    def pairs(self, query: str, documents: "Sequence[str]") -> "list[array[int]]":
        """Tokens of a query with each of the documents; see `pyrunner.engine.ranking`.

        Raises:
            ContextLengthError: Too much text for the context.
            InvalidParameterError: This model does not rank, or it is too much for one request.
        """
        for i, document in enumerate(documents):
            self._check_length(
                len(query) + len(document),
                self._n_embedded_max,
                param=f"documents[{i}]",
                beside="query",
            )
        return pairs(self._model, query, documents, self._n_embedded_max)

    def tokenize_answer(self, text: str) -> list[int]:
        """Tokens that an answer would have which is as the client predicts.

        Raises:
            ContextLengthError: Too much text for the context.
        """
        self._check_length(len(text), self._n_ctx, param="prediction.content")
        return self._model.tokenize(text, add_special=False, parse_special=False)

    def _tokens_of(self, text: str) -> list[int]:
        return self._model.tokenize(text, add_special=True, parse_special=True)

    def _check_length(
        self, n_characters: int, n_most: int, *, param: str | None = None, beside: str | None = None
    ) -> None:
        n_least = n_characters // max(1, self._model.max_piece_bytes)
        if self._is_lossless and n_least > n_most:
            raise ContextLengthError(
                n_tokens=n_least, n_ctx=n_most, is_least=True, param=param, beside=beside
            )

    @cached_property
    def _grammars(self) -> "Grammars":
        # With the first request that has a format: most workers never load llguidance.
        from pyrunner.chat.grammar import Grammars  # noqa: PLC0415 - see above

        return Grammars(self._model)

    @cached_property
    def _call_grammars(self) -> "CallGrammars":
        from pyrunner.chat.calls import CallGrammars  # noqa: PLC0415 - as above

        return CallGrammars(self._model)

    @cached_property
    def _chat_format(self) -> "ChatFormat":
        # Not at loading: a model with a broken template can still complete and embed.
        from pyrunner.chat.conversation import ChatFormat  # noqa: PLC0415 - native, too

        return ChatFormat(self._model, self._template)


def _import_the_rest() -> None:
    for name in _LATER:
        importlib.import_module(name)


def _disk_tier(launch: Launch, model: "Model") -> "DiskTier[LaneState] | None":
    if launch.prefix_folder is None:
        return None
    from pyrunner._native import LaneState, commit, devices  # noqa: PLC0415 - see `load`
    from pyrunner.engine.disk_tier import DiskTier, cache_key  # noqa: PLC0415 - see `load`
    from pyrunner.engine.loading import cell_facts  # noqa: PLC0415 - see `load`

    facts = cell_facts(model, launch.engine)
    key = cache_key(launch.model_id, launch.engine, facts, (commit(), devices()))
    budget_bytes = launch.engine.cache_disk_bytes
    disk = DiskTier(Path(launch.prefix_folder), key, budget_bytes, LaneState.blank)
    _logger.info("%d prefixes on disk", disk.n_files)
    return disk


def _template(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_CHAT_TEMPLATE_BYTES + 1)
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFileError(path=path, problem=str(error)) from error
    if len(data) > MAX_CHAT_TEMPLATE_BYTES:
        problem = f"is longer than {MAX_CHAT_TEMPLATE_BYTES} bytes"
        raise ModelFileError(path=path, problem=problem)
    return text
