"""``chat/completions``, ``completions``, ``embeddings`` and ``rerank``."""

import base64
import secrets
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import falcon
import msgspec

from pyrunner.errors import BackendNotFoundError, InvalidParameterError
from pyrunner.runtime.runner import EventStream, IsCancelled, Runner
from pyrunner.server.body import convert, read_json
from pyrunner.server.dependencies import Dependencies
from pyrunner.server.openai import requests, unsupported
from pyrunner.server.openai.generating import Generation, Generator
from pyrunner.server.openai.rendering import Answer, ChatRendering, Rendering, TextRendering
from pyrunner.server.openai.schema import (
    Body,
    ChatBody,
    CompletionBody,
    EmbeddingBody,
    GenerationBody,
    RerankBody,
)
from pyrunner.server.openai.unsupported import Unsupported
from pyrunner.server.paths import LLAMA_CPP
from pyrunner.server.waiting import ClientWatch
from pyrunner.types import EmbeddingResult, ModelMode, RerankResult

BodyT = TypeVar("BodyT", bound=Body)
ResultT = TypeVar("ResultT")


class ChatCompletions:
    """``POST .../chat/completions``."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies
        self._generator = Generator(dependencies.runtime, dependencies.admission)

    def on_post(self, req: falcon.Request, resp: falcon.Response, backend: str = LLAMA_CPP) -> None:
        """Continue a conversation."""
        body = _read(self._dependencies, req, backend, ChatBody, unsupported.CHAT)
        keep_alive_s = requests.keep_alive_s(body)
        if _is_preload(req):
            self._generator.preload(req, body.model, ModelMode.COMPLETION, keep_alive_s)
            return
        request = requests.chat_request(body)
        answer = _answer(self._dependencies, "chatcmpl-", body)
        rendering = ChatRendering(answer, has_logprobs=body.logprobs)
        asked = _generation(body, rendering, lambda runner: runner.chat(request, keep_alive_s))
        self._generator.answer(req, resp, asked)


class Completions:
    """``POST .../completions``."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies
        self._generator = Generator(dependencies.runtime, dependencies.admission)

    def on_post(self, req: falcon.Request, resp: falcon.Response, backend: str = LLAMA_CPP) -> None:
        """Continue a prompt."""
        body = _read(self._dependencies, req, backend, CompletionBody, unsupported.COMPLETION)
        keep_alive_s = requests.keep_alive_s(body)
        if _is_preload(req):
            self._generator.preload(req, body.model, ModelMode.COMPLETION, keep_alive_s)
            return
        request = requests.completion_request(body)
        answer = _answer(self._dependencies, "cmpl-", body)
        rendering = TextRendering(answer, has_logprobs=body.logprobs is not None)
        asked = _generation(body, rendering, lambda runner: runner.complete(request, keep_alive_s))
        self._generator.answer(req, resp, asked)


class Embeddings:
    """``POST .../embeddings``."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies
        self._generator = Generator(dependencies.runtime, dependencies.admission)

    def on_post(self, req: falcon.Request, resp: falcon.Response, backend: str = LLAMA_CPP) -> None:
        """One vector per input."""
        dependencies = self._dependencies
        body = _read(dependencies, req, backend, EmbeddingBody, unsupported.EMBEDDING)
        keep_alive_s = requests.keep_alive_s(body)
        if _is_preload(req):
            self._generator.preload(req, body.model, ModelMode.EMBEDDING, keep_alive_s)
            return
        request = requests.embedding_request(body)
        result = _computed(
            dependencies,
            req,
            (body.model, ModelMode.EMBEDDING),
            lambda runner, is_cancelled: runner.embed(request, keep_alive_s, is_cancelled),
        )
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(_embeddings(result, body))


class Reranking:
    """``POST .../rerank``."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies
        self._generator = Generator(dependencies.runtime, dependencies.admission)

    def on_post(self, req: falcon.Request, resp: falcon.Response, backend: str = LLAMA_CPP) -> None:
        """The documents that answer the query best, best first."""
        dependencies = self._dependencies
        body = _read(dependencies, req, backend, RerankBody, unsupported.RERANK)
        keep_alive_s = requests.keep_alive_s(body)
        if _is_preload(req):
            self._generator.preload(req, body.model, ModelMode.RERANKING, keep_alive_s)
            return
        request = requests.rerank_request(body)
        result = _computed(
            dependencies,
            req,
            (body.model, ModelMode.RERANKING),
            lambda runner, is_cancelled: runner.rerank(request, keep_alive_s, is_cancelled),
        )
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(_ranking(result, body, request.documents))


def _read(
    dependencies: Dependencies,
    req: falcon.Request,
    backend: str,
    cls: type[BodyT],
    known: Mapping[str, Unsupported],
) -> BodyT:
    if backend != LLAMA_CPP:
        raise BackendNotFoundError(backend=backend)
    document = read_json(req, dependencies.settings.server.max_body_bytes)
    document = unsupported.without_unsupported(document, known)
    return convert(document, cls, also_known=known)


def _computed(
    dependencies: Dependencies,
    req: falcon.Request,
    wanted: tuple[str, ModelMode],
    compute: Callable[[Runner, IsCancelled], ResultT],
) -> ResultT:
    """What a runner says as a whole, unless the client goes away."""
    model, mode = wanted
    watch = ClientWatch(req.env, dependencies.admission)
    with dependencies.admission.streams.admit():
        runner = dependencies.runtime.ensure_ready(
            model, mode=mode, is_cancelled=watch.is_cancelled
        )
        return compute(runner, watch.is_cancelled)


def _generation(
    body: GenerationBody,
    rendering: Rendering,
    start: Callable[[Runner], EventStream],
) -> Generation:
    options = body.stream_options
    if options is not None and not body.stream:
        raise InvalidParameterError(param="stream_options", problem="needs 'stream': true")
    return Generation(
        model=body.model,
        start=start,
        rendering=rendering,
        is_streamed=body.stream,
        include_usage=options is not None and options.include_usage,
    )


def _is_preload(req: falcon.Request) -> bool:
    return (req.get_header("X-Preload-Only") or "").lower() == "true"


def _answer(dependencies: Dependencies, prefix: str, body: Body) -> Answer:
    return Answer(
        id=prefix + secrets.token_hex(16), created=int(dependencies.clock()), model=body.model
    )


def _embeddings(result: EmbeddingResult, body: EmbeddingBody) -> dict[str, object]:
    render = _base64 if body.encoding_format == "base64" else _numbers
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": i, "embedding": render(vector)}
            for i, vector in enumerate(result.vectors)
        ],
        "model": body.model,
        "usage": {"prompt_tokens": result.n_tokens, "total_tokens": result.n_tokens},
    }


def _ranking(result: RerankResult, body: RerankBody, documents: Sequence[str]) -> dict[str, object]:
    order = sorted(range(len(documents)), key=lambda i: result.scores[i], reverse=True)
    shown = body.return_documents
    return {
        "object": "list",
        "results": [
            {
                "index": i,
                "relevance_score": result.scores[i],
                **({"document": {"text": documents[i]}} if shown else {}),
            }
            for i in order[: body.top_n]
        ],
        "model": body.model,
        "usage": {"prompt_tokens": result.n_tokens, "total_tokens": result.n_tokens},
    }


def _base64(vector: bytes) -> object:
    return base64.b64encode(vector).decode()


def _numbers(vector: bytes) -> object:
    return struct.unpack(f"<{len(vector) // 4}f", vector)
