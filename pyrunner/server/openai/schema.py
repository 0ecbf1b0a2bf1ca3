"""The bodies we understand, with their types and ranges.

The field names are the wire's. What OpenAI's or llama-server's API has beyond these is in
`unsupported`; everything else is an unknown parameter. A test compares both with ``docs/api.md``,
and the ranges with the engine's, which this side must not import.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pyrunner.types import MAX_DRY_BREAKERS, MAX_LOGPROBS, MAX_PRIORITY, MAX_RECENT_TOKENS

MAX_STOPS = 16
MAX_SALT = 256
MAX_MESSAGES = 2048
"""Of one chat: rendering a template takes longer with every message."""
MAX_INPUTS = 2048
"""Texts of one embeddings request, documents of one to be ranked."""

Text = Annotated[str, Meta(min_length=1)]
StopText = Annotated[str, Meta(min_length=1, max_length=1000)]
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Share = Annotated[float, Meta(ge=0, le=1)]
UpToTen = Annotated[float, Meta(ge=0, le=10)]
RecentTokens = Annotated[int, Meta(ge=0, le=MAX_RECENT_TOKENS)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
TokenId = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Bias = Annotated[float, Meta(ge=-100, le=100)]


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What every request has."""

    model: Text
    user: str | None = None
    metadata: dict[str, object] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    keep_alive: str | float | None = None


class StreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    """How a stream is told."""

    include_usage: bool = False
    include_obfuscation: bool = False


class JsonSchemaIn(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A schema with a name; every answer follows it, `strict` or not."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    schema: dict[str, object]
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What an answer looks like; `schema` is llama-server's addition to ``json_object``."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaIn | None = None
    schema: dict[str, object] | None = None


class GenerationBody(Body, kw_only=True):
    """What chat and text completions share: sampling, limits, streaming."""

    stream: bool = False
    stream_options: StreamOptions | None = None
    priority: Annotated[int, Meta(ge=-MAX_PRIORITY, le=MAX_PRIORITY)] = 0
    cache_prompt: bool | None = None
    cache_salt: Annotated[str, Meta(min_length=1, max_length=MAX_SALT)] | None = None
    max_tokens: Count | None = None
    stop: StopText | Annotated[list[StopText], Meta(max_length=MAX_STOPS)] | None = None
    ignore_eos: bool = False
    seed: Annotated[int, Meta(ge=-1, le=2**32 - 2)] | None = None
    temperature: UpToTen | None = None
    dynatemp_range: UpToTen | None = None
    dynatemp_exponent: UpToTen | None = None
    top_n_sigma: Annotated[float, Meta(ge=-1, le=100)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    top_p: Share | None = None
    min_p: Share | None = None
    typical_p: Share | None = None
    xtc_probability: Share | None = None
    xtc_threshold: Share | None = None
    mirostat: Annotated[int, Meta(ge=0, le=2)] | None = None
    mirostat_tau: Annotated[float, Meta(ge=0, le=20)] | None = None
    mirostat_eta: Share | None = None
    adaptive_target: Annotated[float, Meta(ge=-1, le=1)] | None = None
    adaptive_decay: Annotated[float, Meta(ge=0, le=0.99)] | None = None
    repeat_penalty: Annotated[float, Meta(ge=0.01, le=10)] | None = None
    repeat_last_n: RecentTokens | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    dry_multiplier: UpToTen | None = None
    dry_base: Annotated[float, Meta(ge=1, le=10)] | None = None
    dry_allowed_length: RecentTokens | None = None
    dry_penalty_last_n: RecentTokens | None = None
    # Bytes of each are counted by the engine, not characters here.
    dry_sequence_breakers: Annotated[list[Text], Meta(max_length=MAX_DRY_BREAKERS)] | None = None
    logit_bias: Annotated[dict[TokenId, Bias], Meta(max_length=1024)] | None = None
    response_format: ResponseFormat | None = None
    json_schema: dict[str, object] | None = None
    grammar: str | None = None
    regex: str | None = None


class FunctionCall(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What an assistant called."""

    name: Text
    arguments: str = "{}"


class ToolCallIn(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A call in the history; `index` is what clients leave in when they collect a stream."""

    function: FunctionCall
    id: str = ""
    type: Literal["function"] = "function"
    index: int | None = None


class Message(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One turn. The last four are what clients echo from answers; only null or empty is taken."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, object]] | None = None
    name: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallIn] | None = None
    tool_call_id: str | None = None
    refusal: None = None
    audio: None = None
    function_call: None = None
    annotations: Annotated[list[object], Meta(max_length=0)] | None = None


class FunctionTool(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A function the model may call."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    description: str | None = None
    parameters: dict[str, object] | None = None
    strict: bool | None = None


class ToolIn(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A tool; only functions exist."""

    function: FunctionTool
    type: Literal["function"] = "function"


class PredictionIn(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What the answer is expected to be like."""

    type: Literal["content"]
    content: str | list[dict[str, object]]


class ChatBody(GenerationBody, kw_only=True):
    """``POST /v1/chat/completions``."""

    messages: Annotated[list[Message], Meta(max_length=MAX_MESSAGES)]
    max_completion_tokens: Count | None = None
    tools: Annotated[list[ToolIn], Meta(max_length=128)] | None = None
    tool_choice: object = None
    parallel_tool_calls: bool | None = None
    chat_template_kwargs: dict[str, object] | None = None
    prediction: PredictionIn | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, Meta(ge=0, le=MAX_LOGPROBS)] = 0


class CompletionBody(GenerationBody, kw_only=True):
    """``POST /v1/completions``."""

    prompt: str | list[object]
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None


class EmbeddingBody(Body, kw_only=True):
    """``POST /v1/embeddings``."""

    input: str | list[object]
    encoding_format: Literal["float", "base64"] = "float"


class Document(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A document to be ranked, as some clients write it."""

    text: str


class RerankBody(Body, kw_only=True):
    """``POST /rerank``: Jina's, which Cohere's is close to."""

    query: Text
    documents: Annotated[list[str | Document], Meta(min_length=1, max_length=MAX_INPUTS)]
    top_n: Count | None = None
    return_documents: bool = False
