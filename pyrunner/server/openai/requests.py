"""From bodies to the typed requests that runners take. What cannot be carried over is a 400."""

from typing import Any

from pyrunner import units
from pyrunner.errors import InvalidParameterError, UnsupportedParameterError, item_name
from pyrunner.server.openai.messages import chat_message, text_of
from pyrunner.server.openai.output import output_format
from pyrunner.server.openai.schema import (
    MAX_INPUTS,
    Body,
    ChatBody,
    CompletionBody,
    EmbeddingBody,
    GenerationBody,
    RerankBody,
)
from pyrunner.server.openai.tools import json_text, tool_choice, tools
from pyrunner.types import (
    CacheUse,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    Limits,
    RerankRequest,
    SamplingParams,
)

_MAX_TOKEN_ID = 2**31 - 1
_OWN_VARIABLES = ("messages", "tools", "add_generation_prompt", "bos_token", "eos_token")
"""Of a chat template: what the request and the model say, and nobody else."""
_SAMPLING_FIELDS = SamplingParams.__struct_fields__


def keep_alive_s(body: Body) -> float | None:
    """Seconds the runner stays loaded after this request; None leaves that as it is."""
    if body.keep_alive is None:
        return None
    return units.parse_duration(body.keep_alive, param="keep_alive")


def chat_request(body: ChatBody) -> ChatRequest:
    """Carry a chat over.

    Raises:
        InvalidParameterError: A message or a limit contradicts itself.
        UnsupportedParameterError: A tool choice or a kind of content we do not implement.
    """
    if not body.messages:
        raise InvalidParameterError(param="messages", problem="has to hold at least one message")
    choice = tool_choice(body)
    return ChatRequest(
        messages=tuple(chat_message(i, each) for i, each in enumerate(body.messages)),
        tools=tools(body.tools or ()),
        tool_choice=choice.kind,
        required_tool=choice.name,
        parallel_tool_calls=body.parallel_tool_calls is not False,
        template_kwargs=_template_kwargs(body),
        sampling=_sampling(body),
        limits=_limits(body, _max_tokens(body)),
        cache=_cache_use(body),
        priority=body.priority,
        output=output_format(body),
        prediction=text_of(body.prediction.content, "prediction.content")
        if body.prediction
        else "",
        n_logprobs=_n_logprobs(body),
    )


def completion_request(body: CompletionBody) -> CompletionRequest:
    """Carry a text completion over.

    Raises:
        InvalidParameterError: The prompt is empty or of a wrong kind.
        UnsupportedParameterError: Several prompts.
    """
    prompts = _texts(body.prompt, "prompt")
    if len(prompts) > 1:
        raise UnsupportedParameterError(
            param="prompt", hint="Give one prompt per request, not several."
        )
    return CompletionRequest(
        prompt=prompts[0],
        sampling=_sampling(body),
        limits=_limits(body, body.max_tokens),
        cache=_cache_use(body),
        priority=body.priority,
        output=output_format(body),
        n_logprobs=body.logprobs,
    )


def embedding_request(body: EmbeddingBody) -> EmbeddingRequest:
    """Carry embeddings over.

    Raises:
        InvalidParameterError: No input, too many, an empty one, or one of a wrong kind.
    """
    inputs = _texts(body.input, "input")
    if len(inputs) > MAX_INPUTS:
        raise InvalidParameterError(
            param="input", problem=f"has {len(inputs)} entries; at most {MAX_INPUTS} are allowed"
        )
    return EmbeddingRequest(inputs=inputs)


def rerank_request(body: RerankBody) -> RerankRequest:
    """Carry documents over."""
    texts = tuple(each if isinstance(each, str) else each.text for each in body.documents)
    return RerankRequest(query=body.query, documents=texts)


def _sampling(body: GenerationBody) -> SamplingParams:
    given: dict[str, Any] = {
        name: value for name in _SAMPLING_FIELDS if (value := getattr(body, name)) is not None
    }
    if given.get("seed") == -1:
        del given["seed"]
    if body.dry_sequence_breakers is not None:
        given["dry_sequence_breakers"] = tuple(body.dry_sequence_breakers)
    if body.logit_bias is not None:
        given["logit_bias"] = tuple(body.logit_bias.items())
    return SamplingParams(**given)


def _limits(body: GenerationBody, max_tokens: int | None) -> Limits:
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    return Limits(max_tokens=max_tokens, stop=stop, ignore_eos=body.ignore_eos)


def _cache_use(body: GenerationBody) -> CacheUse:
    return CacheUse(salt=body.cache_salt or "", is_shared=body.cache_prompt is not False)


def _template_kwargs(body: ChatBody) -> str:
    given = body.chat_template_kwargs
    for name in given or ():
        if name in _OWN_VARIABLES:
            raise InvalidParameterError(
                param=f"chat_template_kwargs.{name}",
                problem="is what the request itself says, or the model's file; remove it",
            )
    return json_text(given)


def _n_logprobs(body: ChatBody) -> int | None:
    if body.logprobs:
        return body.top_logprobs
    if body.top_logprobs:
        raise InvalidParameterError(param="top_logprobs", problem="needs 'logprobs': true")
    return None


def _max_tokens(body: ChatBody) -> int | None:
    new, old = body.max_completion_tokens, body.max_tokens
    if new is not None and old is not None and new != old:
        raise InvalidParameterError(
            param="max_tokens", problem="contradicts 'max_completion_tokens'; give one of them"
        )
    return old if new is None else new


def _texts(value: str | list[object], param: str) -> tuple[str | tuple[int, ...], ...]:
    """A text, a list of texts, token ids, or a list of lists of them; none of them empty."""
    items: list[object] = [value] if isinstance(value, str) or _is_tokens(value) else list(value)
    if not items:
        raise InvalidParameterError(param=param, problem="is empty")
    names = [item_name(param, i, len(items)) for i in range(len(items))]
    return tuple(_text(item, name, param) for item, name in zip(items, names, strict=True))


def _text(item: object, name: str, param: str) -> str | tuple[int, ...]:
    """One of the texts of a parameter, which errors call by its own name."""
    if isinstance(item, str):
        if not item:
            raise InvalidParameterError(param=name, problem="is an empty text")
        return item
    if isinstance(item, list) and _is_tokens(item):
        if all(0 <= token <= _MAX_TOKEN_ID for token in item):
            return tuple(item)
        raise InvalidParameterError(param=name, problem="holds a token id that cannot exist")
    raise InvalidParameterError(
        param=param, problem="has to be a text, a list of texts, or lists of token ids"
    )


def _is_tokens(value: list[object]) -> bool:
    return bool(value) and all(isinstance(v, int) and not isinstance(v, bool) for v in value)
