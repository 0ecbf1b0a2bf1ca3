"""The engine in the caller's own process: `pyrunner.Engine`."""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from operator import index
from pathlib import Path
from typing import Self

from pyrunner._native import Model
from pyrunner.config import EngineConfig
from pyrunner.engine.adapter_file import open_adapter
from pyrunner.engine.drafting import load_models
from pyrunner.engine.embedding_groups import EmbeddingGroups
from pyrunner.engine.generation import Generation
from pyrunner.engine.inputs import check_input, check_inputs
from pyrunner.engine.interrupts import interrupts_postponed
from pyrunner.engine.loading import check_no_disk, path_list
from pyrunner.engine.loop import EngineLoop
from pyrunner.engine.mailboxes import Mailboxes
from pyrunner.engine.ranking import pairs, ranked
from pyrunner.engine.request import GenerationRequest, check_tokens
from pyrunner.engine.sampling import prepare_sampling
from pyrunner.engine.step import read_tokens
from pyrunner.engine.turn import Turn
from pyrunner.errors import InvalidParameterError, QueueFullError
from pyrunner.gguf import FileStamp, check_embeds
from pyrunner.types import EmbeddingResult, Event, Limits, ModelInfo, RerankResult, SamplingParams

MAX_WAITING = 1024
"""Generations that wait for a lane at most."""


class Engine:
    """A model in this process, generating any number of sequences together.

    Methods may be called from any thread. Whoever waits for an event runs the next step for
    everybody, so there is no thread of ours, and sequences that are iterated at the same time
    share their steps. A step that fails ends all generations with its error and closes the engine.

    Example::

        with pyrunner.Engine("model.gguf") as engine:
            for event in engine.generate("Once upon a time"):
                ...

    Args:
        path: A GGUF file, or the shards of one in order.
        config: How to load it.
        draft: A smaller model with the same tokens, as `path`. It guesses what comes next: faster
            where that pays, never different. Without one the model's own draft heads do, if any.
        on_progress: Called about ten times a second while loading with a share in 0..1; returning
            False cancels, and the constructor raises `KeyboardInterrupt`.

    Raises:
        ConfigError: A value of `config` is outside its range, or two of them exclude each other.
        ContextRefusedError: llama.cpp refused the size or type of the lanes.
        ModelFileError: Not a readable GGUF file, or `draft` cannot guess for this model.
        ModelLoadError: llama.cpp refused it.
        OutOfMemoryError: The model or its KV cache does not fit.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        config: EngineConfig | None = None,
        draft: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
        on_progress: Callable[[float], bool] | None = None,
    ) -> None:
        config = config or EngineConfig()
        check_no_disk(config)
        self._n_group = config.n_batch  # tokens of inputs that are embedded at a time
        paths = path_list(path)
        loaded = load_models(paths, path_list(draft), config, on_progress)
        if loaded is None:
            raise KeyboardInterrupt
        self._files = {Path(each).absolute(): FileStamp.of(each) for each in paths}
        self._model: Model | None = loaded.model
        self._loop: EngineLoop | None = EngineLoop(loaded.model, config, draft=loaded.draft)
        # Guards the model, the loop and the mailboxes. Reentrant, so that a step inside `logits` is
        # refused and does not wait for itself. Held during steps, so it has to be fair.
        self._lock = Turn()
        self._mailboxes = Mailboxes()
        # Generations nobody reads any more. A finalizer runs at any point of any thread, so it
        # only leaves its id here; whoever takes the lock next cancels them.
        self._abandoned: deque[int] = deque()
        self._next_id = itertools.count(1)

    @property
    def info(self) -> ModelInfo:
        """Facts about the model."""
        return self._open_loop().info

    @property
    def n_running(self) -> int:
        """Generations that run or wait for a lane."""
        with self._lock:
            loop = self._open_loop()
            self._cancel_abandoned()
            return loop.n_running + loop.n_waiting

    @property
    def adapters(self) -> list[str]:
        """Names of the LoRA adapters that are loaded."""
        with self._lock:
            return self._open_loop().adapters.names

    def load_adapter(self, name: str, path: str | os.PathLike[str]) -> None:
        """Load a LoRA adapter of this model, so that `generate` can name it.

        It stays in memory until it is unloaded, or the engine closed. The steps of other threads
        wait while its numbers are read.

        Args:
            name: Any, but not that of another adapter.
            path: A GGUF file; the model's own files are looked at again, and have to be there.

        Raises:
            InvalidParameterError: The name is empty or taken, or `MAX_ADAPTERS` are loaded.
            ModelFileError: Not a readable adapter, or not one for this model.
            OutOfMemoryError: It does not fit.
        """
        with open_adapter(path, self._files) as file, self._lock:
            self._open_loop().adapters.add(name, partial(file.load, self._open_model()))

    def unload_adapter(self, name: str) -> None:
        """Free the memory of an adapter.

        Raises:
            InvalidParameterError: There is none of this name, or a generation uses it.
        """
        with self._lock:
            self._cancel_abandoned()
            self._open_loop().remove_adapter(name)

    def generate(
        self,
        prompt: str | Sequence[int],
        *,
        sampling: SamplingParams | None = None,
        limits: Limits | None = None,
        prediction: str | Sequence[int] = (),
        n_logprobs: int | None = None,
        adapter: str = "",
    ) -> Generation:
        """Start continuing a prompt.

        Args:
            prompt: Text, whose control tokens are taken as such, or token ids.
            sampling: How tokens are chosen.
            limits: When to end.
            prediction: What the answer is expected to be like, as text or token ids; makes it
                faster where it is, never different.
            n_logprobs: None, or how many likeliest tokens the events report beside each token of
                the answer, 0..20.
            adapter: Name of the loaded one that answers; empty for the model alone.

        Returns:
            An iterator of `TextEvent` and, last, one `FinishEvent`. Closing it early, from any
            thread, or dropping it cancels.

        Raises:
            BufferError: A row of logits is lent, and many generations wait.
            ContextLengthError: The prompt is longer than the context.
            InvalidParameterError: An empty prompt, a token outside the vocabulary, an unknown
                adapter, or a parameter outside its range.
            QueueFullError: `MAX_WAITING` generations wait for a lane. Try again when one is over.
        """
        tokens = self._tokens_of(prompt)
        sampling = sampling or SamplingParams()
        prepare_sampling(self._open_model(), sampling)
        expected = (
            self.tokenize(prediction, add_special=False, parse_special=False)
            if isinstance(prediction, str)
            else [index(each) for each in prediction]
        )
        with self._lock:
            request = GenerationRequest(
                request_id=next(self._next_id),
                tokens=tokens,
                sampling=sampling,
                limits=limits or Limits(),
                prediction=expected,
                adapter=adapter,
                n_logprobs=n_logprobs,
            )
            self._make_room()
            self._open_loop().submit(request)
            self._mailboxes.open(request.request_id, is_traced=n_logprobs is not None)
        return Generation(
            wait=partial(self._wait, request.request_id),
            cancel=partial(self._forget, request.request_id),
            abandon=partial(self._abandoned.append, request.request_id),
        )

    def embed(
        self, inputs: str | Sequence[str | Sequence[int]], *, normalize: bool = True
    ) -> EmbeddingResult:
        """Turn each input into one vector; a text alone is one input.

        Raises:
            ContextLengthError: An input is longer than the model takes.
            InvalidParameterError: No input, an empty one, a token outside the vocabulary, or a
                model that ranks.
        """
        check_embeds(ranks=self._open_model().n_scores > 0)
        texts = [inputs] if isinstance(inputs, str) else inputs
        return self._embedded([self._tokens_of(each) for each in texts], normalize=normalize)

    def rerank(self, query: str, documents: Sequence[str]) -> RerankResult:
        """Score documents by how well they answer a query.

        Raises:
            ContextLengthError: The query and a document together are longer than the model takes.
            InvalidParameterError: No document, lone surrogates, or a model that does not rank.
        """
        try:
            asked = [documents] if isinstance(documents, str) else documents
            texts = pairs(self._open_model(), query, asked, self._open_loop().n_embedded_max)
        except UnicodeEncodeError as error:
            raise InvalidParameterError(param="text", problem="is not valid Unicode") from error
        return ranked(self._embedded(texts, normalize=False))

    def _embedded(self, inputs: Sequence[Sequence[int]], *, normalize: bool) -> EmbeddingResult:
        loop = self._open_loop()
        check_inputs(inputs, n_most=loop.n_embedded_max, n_vocab=loop.info.n_vocab)
        asked = EmbeddingGroups(inputs)
        while not asked.is_complete:
            with self._lock:  # others have their turn between two asked
                part = self._open_loop().embed(asked.next_group(self._n_group), normalize=normalize)
            if part is not None:  # None: a cancel that came late, for a step
                asked.add(part)
        return asked.result()

    def _tokens_of(self, text: str | Sequence[int]) -> list[int]:
        if isinstance(text, bytes | bytearray):
            raise InvalidParameterError(param="prompt", problem="is bytes; decode it to a text")
        # index() refuses the float that the native layer would round down.
        return self.tokenize(text) if isinstance(text, str) else [index(each) for each in text]

    def tokenize(
        self, text: str, *, add_special: bool = True, parse_special: bool = True
    ) -> list[int]:
        """Turn text into token ids.

        Args:
            text: Anything UTF-8 can encode.
            add_special: Add what the model wants around a text, such as a begin token.
            parse_special: Turn the text of control tokens into those tokens.

        Raises:
            InvalidParameterError: Lone surrogates.
        """
        try:
            return self._open_model().tokenize(text, add_special, parse_special)
        except UnicodeEncodeError as error:
            raise InvalidParameterError(param="text", problem="is not valid Unicode") from error

    def detokenize(self, tokens: Sequence[int], *, render_special: bool = False) -> str:
        """Turn token ids into text; incomplete characters become U+FFFD.

        Raises:
            InvalidParameterError: A token outside the vocabulary.
        """
        if not tokens:
            return ""
        model = self._open_model()
        check_tokens(tokens, model.n_vocab)
        return model.detokenize(list(tokens), render_special).decode("utf-8", "replace")

    @contextmanager
    def logits(self, tokens: Sequence[int]) -> Iterator[memoryview]:
        """Read a prompt and lend the logits after its last token, without a copy.

        A read-only memoryview of `info.n_vocab` float32, for ``numpy.asarray``. It is memory of
        the engine: no step runs while it is lent (other threads wait, this one gets
        `BufferError`), and leaving the block with an array still alive raises `BufferError` too.

        Raises:
            ContextLengthError: The prompt is longer than the context.
            InvalidParameterError: An empty prompt or a token outside the vocabulary.
            QueueFullError: Every lane is taken by a running generation.
        """
        with self._lock:
            loop = self._open_loop()
            session = loop.session
            check_input(tokens, "tokens", n_most=session.n_ctx, n_vocab=loop.info.n_vocab)
            self._cancel_abandoned()
            with interrupts_postponed():  # lanes may move for it
                lane = loop.spare_lane()
            try:
                read_tokens(session, lane, tokens)
                with session.logits(0) as row:
                    yield row
            finally:
                session.clear_lane(lane)

    def close(self) -> None:
        """Free the model, or leave that to the last lent row. Generations still running fail."""
        self._end_all(_closed())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _open_loop(self) -> EngineLoop:
        if self._loop is None:
            raise _closed()
        return self._loop

    def _open_model(self) -> Model:
        model = self._model
        if model is None:
            raise _closed()
        return model

    def _end_all(self, error: Exception) -> None:
        with self._lock:
            self._loop = self._model = None
            self._mailboxes.fail(error)
            self._lock.excuse()

    def _wait(self, request_id: int) -> Event | None:
        """Run steps until there is an event for `request_id`; None when it was closed."""
        while (mailbox := self._mailboxes.find(request_id)) is not None:
            # Taken without the lock: who has the next step may be one of many that wait for it.
            if mailbox:
                event = mailbox.popleft()
                if isinstance(event, Exception):
                    raise event
                return event
            if self._lock.enter_unless(lambda: self._mailboxes.has_news(request_id)):
                try:
                    self._step()
                finally:
                    self._lock.leave()
        return None

    def _step(self) -> None:
        self._cancel_abandoned()
        loop = self._open_loop()
        if self._lock.is_nested:
            raise BufferError("a row of logits is lent; leave its block before the next step")
        with self._whole():
            self._mailboxes.deliver(loop.step())
            self._lock.excuse()

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """For what must not end half done: Ctrl-C comes behind it, all else closes the engine."""
        with interrupts_postponed():
            try:
                yield
            except BaseException as error:
                if not isinstance(error, BufferError):  # a row is lent, and nothing has changed
                    self._end_all(error if isinstance(error, Exception) else _closed())
                raise

    def _make_room(self) -> None:
        """For one more that waits; a step lets those go that were cancelled, and others start."""
        self._cancel_abandoned()
        if self._open_loop().n_waiting >= MAX_WAITING:
            self._step()
        if self._open_loop().n_waiting >= MAX_WAITING:
            raise QueueFullError(limit=MAX_WAITING, what="places of this engine's queue")

    def _cancel_abandoned(self) -> None:
        """Whoever has the lock; inside a step, or a row's block, they are left to the next one."""
        if not self._abandoned or self._lock.is_nested:
            return
        with self._whole():
            while self._abandoned:
                request_id = self._abandoned.popleft()
                self._mailboxes.close(request_id)
                if self._loop is not None:
                    self._loop.cancel(request_id)
            if self._loop is not None:
                self._loop.end_cancelled()

    def _forget(self, request_id: int) -> None:
        # Noted first: Ctrl-C may end the wait, or a signal handler close it inside our own step.
        self._abandoned.append(request_id)
        loop = self._loop
        if loop is not None:
            loop.hurry(request_id)  # before the lock, which is held while its prompt is read
        with self._lock:
            self._cancel_abandoned()
            self._lock.excuse()


def _closed() -> Exception:
    return ValueError("this engine is closed")
