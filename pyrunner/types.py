"""Values every layer shares: what a client asks for, and what comes back.

All are frozen and hold only plain data, so that they can cross threads and, encoded by
`pyrunner.wire`, processes. They are msgspec structs, not dataclasses: a frame carries a tagged
union of events, and a worker starts sooner, because making such a class takes a hundredth of the
time. No behaviour beyond derived properties lives here.
"""

from enum import StrEnum
from typing import NamedTuple

import msgspec

JsonText = str
"""A string that holds one JSON document; passed on, not parsed, below the server."""

MAX_RECENT_TOKENS = 32768
"""That penalties and DRY look back over."""
MAX_DRY_BREAKERS = 16
MAX_DRY_BREAKER_BYTES = 40
"""llama.cpp cuts longer ones."""
MAX_PRIORITY = 1000
MAX_LOGPROBS = 20
"""Likeliest tokens that can be asked for beside each chosen one; OpenAI's limit."""
MAX_CHAT_TEMPLATE_BYTES = 1024 * 1024
"""Longest chat template file that is packaged, imported, pulled or rendered."""


class FinishReason(StrEnum):
    """Why a sequence ended; the values are OpenAI's where OpenAI has one."""

    STOP = "stop"
    """An end-of-generation token or a stop string."""
    LENGTH = "length"
    """`Limits.max_tokens`, or the context is full."""
    TOOL_CALLS = "tool_calls"
    """An end-of-generation token after at least one tool call."""
    CANCELLED = "cancelled"
    """The client went away or asked for it."""


class ToolChoice(StrEnum):
    """Whether the model may call the tools it was shown."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    """It has to: the answer is at least one call."""


class OutputKind(StrEnum):
    """The language an output format is written in."""

    JSON_SCHEMA = "json_schema"
    GRAMMAR = "grammar"
    """GBNF or Lark, told apart by how they begin."""
    REGEX = "regex"


class ModelMode(StrEnum):
    """What a worker does with its model; the values are Docker Model Runner's."""

    COMPLETION = "completion"
    EMBEDDING = "embedding"
    RERANKING = "reranking"


class SamplingParams(msgspec.Struct, frozen=True, kw_only=True):
    """How the next token is chosen. Defaults are llama-server's, as under Docker Model Runner."""

    temperature: float = 0.8
    """0..10; 0 takes the most likely token of those that are left."""
    dynatemp_range: float = 0.0
    """0..10; the temperature moves this far up and down with the entropy; 0 is off."""
    dynatemp_exponent: float = 1.0
    """0..10; how entropy, as a share of the largest possible, becomes temperature."""
    top_n_sigma: float = -1.0
    """-1..100; keep tokens within n standard deviations of the likeliest; up to 0 is off."""
    top_k: int = 40
    """Keep the k most likely tokens; 0 keeps all."""
    top_p: float = 0.95
    """0..1; keep the smallest set with this probability mass; 1 keeps all."""
    min_p: float = 0.05
    """0..1; drop tokens less likely than this share of the likeliest; 0 keeps all."""
    typical_p: float = 1.0
    """0..1; locally typical sampling; 1 is off."""
    xtc_probability: float = 0.0
    """0..1; how often XTC drops all but the last of the tokens above its threshold; 0 is off."""
    xtc_threshold: float = 0.1
    """0..1; the probability from which XTC drops tokens; above 0.5 is off."""
    mirostat: int = 0
    """0..2; 1 and 2 keep the surprise constant and replace all but temperature and bias."""
    mirostat_tau: float = 5.0
    """0..20; the surprise to keep, in bits."""
    mirostat_eta: float = 0.1
    """0..1; how fast mirostat learns."""
    adaptive_target: float = -1.0
    """-1..1; adaptive-p draws tokens whose probability is near this on average; below 0 is off."""
    adaptive_decay: float = 0.9
    """0..0.99; how much of that average is left at each token: 1 / (1 - decay) tokens count."""
    repeat_penalty: float = 1.0
    """Above 0; divides the logits of recent tokens; 1 is off."""
    repeat_last_n: int = 64
    """How many recent tokens the penalties see, 0..`MAX_RECENT_TOKENS`."""
    presence_penalty: float = 0.0
    """-2..2."""
    frequency_penalty: float = 0.0
    """-2..2."""
    dry_multiplier: float = 0.0
    """0..10; strength of DRY, the penalty for tokens that extend a repetition; 0 is off."""
    dry_base: float = 1.75
    """1..10; the penalty grows by this factor with every repeated token."""
    dry_allowed_length: int = 2
    """0..`MAX_RECENT_TOKENS`; repetitions below this length cost nothing."""
    dry_penalty_last_n: int = 64
    """How many recent tokens DRY searches for repetitions, 0..`MAX_RECENT_TOKENS`; 0 is off."""
    dry_sequence_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    """At most `MAX_DRY_BREAKERS` texts of 1..`MAX_DRY_BREAKER_BYTES` bytes in UTF-8 that no
    repetition reaches across."""
    seed: int | None = None
    """0..2**32-2; None draws one."""
    logit_bias: tuple[tuple[int, float], ...] = ()
    """Pairs of token id and bias in -100..100 added to its logit."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """When a sequence has to end."""

    max_tokens: int | None = None
    """At least 1; None means until the context is full."""
    stop: tuple[str, ...] = ()
    """At most 16 non-empty strings; the answer ends before the first that appears."""
    ignore_eos: bool = False
    """Generate on through end-of-generation tokens (benchmarks)."""


class CacheUse(msgspec.Struct, frozen=True, kw_only=True):
    """Which earlier requests a prompt may start from."""

    salt: str = ""
    """Only requests of the same salt share: timing then tells nothing across tenants."""
    is_shared: bool = True
    """False reads the whole prompt, and leaves nothing that another request could start from."""


class OutputFormat(msgspec.Struct, frozen=True, kw_only=True):
    """What every answer has to look like, to the last character."""

    kind: OutputKind
    text: str
    """The schema as JSON, the grammar, or the regular expression for the whole answer."""
    param: str = "response_format"
    """The parameter it came in, which errors name."""


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call a model made: in a message of the history, or collected from a stream."""

    id: str
    name: str
    arguments: JsonText


class ChatMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of a conversation, in OpenAI's vocabulary."""

    role: str
    """system, developer, user, assistant or tool."""
    content: str | None = None
    name: str | None = None
    reasoning_content: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function the model may ask for."""

    name: str
    description: str = ""
    parameters: JsonText = "{}"
    """A JSON schema, in the order the client gave it: templates show it to the model."""
    is_strict: bool = False
    """Its arguments follow the schema to the letter, or the request is refused."""


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation to continue."""

    messages: tuple[ChatMessage, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice.AUTO
    required_tool: str | None = None
    """With REQUIRED: the only one of `tools` that may be called."""
    parallel_tool_calls: bool = True
    template_kwargs: JsonText = "{}"
    """A JSON object of extra variables for the chat template."""
    sampling: SamplingParams = msgspec.field(default_factory=SamplingParams)
    limits: Limits = msgspec.field(default_factory=Limits)
    cache: CacheUse = msgspec.field(default_factory=CacheUse)
    priority: int = 0
    """Higher goes first; from -`MAX_PRIORITY` to `MAX_PRIORITY`."""
    output: OutputFormat | None = None
    """None leaves the answer free."""
    prediction: str = ""
    """What the answer is expected to be like; makes it faster where it is, never different."""
    n_logprobs: int | None = None
    """Likeliest tokens to report beside each of the answer, 0..`MAX_LOGPROBS`; None for
    nothing."""


class CompletionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt to continue: text, or token ids."""

    prompt: str | tuple[int, ...]
    sampling: SamplingParams = msgspec.field(default_factory=SamplingParams)
    limits: Limits = msgspec.field(default_factory=Limits)
    cache: CacheUse = msgspec.field(default_factory=CacheUse)
    priority: int = 0
    """Higher goes first; from -`MAX_PRIORITY` to `MAX_PRIORITY`."""
    output: OutputFormat | None = None
    """None leaves the answer free."""
    n_logprobs: int | None = None
    """Likeliest tokens to report beside each of the answer, 0..`MAX_LOGPROBS`; None for
    nothing."""


class EmbeddingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Texts (or their token ids) to turn into one vector each."""

    inputs: tuple[str | tuple[int, ...], ...]
    normalize: bool = True


class RerankRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Documents to be told apart by how well they answer a query."""

    query: str
    documents: tuple[str, ...]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Token counts of one request."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    """Prompt tokens whose KV cells were already there."""
    accepted_prediction_tokens: int = 0
    """Of the client's prediction: read, and what the model said anyway."""
    rejected_prediction_tokens: int = 0
    """Of the client's prediction: read for nothing. They are no completion tokens."""

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of one request went, in the worker's monotonic clock."""

    queue_s: float
    """From submission to the first step that read a token of it."""
    prompt_s: float
    """From there to the first sampled token."""
    decode_s: float
    """From there to the last token."""


class TokenChance(msgspec.Struct, frozen=True, array_like=True):
    """One token and how likely it was. An array on the wire, because there are many."""

    token: int
    piece: bytes
    """Its text, which can be part of a character; of a control token its name."""
    logprob: float
    """Natural logarithm of its probability before bias, penalties, temperature and cuts."""


class TokenLogprobs(msgspec.Struct, frozen=True, array_like=True):
    """A token of the answer among those that could have stood there."""

    chosen: TokenChance
    """Its `piece` is what it added to the text: empty for a control token that is not shown."""
    likeliest: tuple[TokenChance, ...]
    """As many as were asked for, best first; the chosen one need not be among them."""


class TextEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="text"):
    """New text of the answer. Whole characters only."""

    text: str
    logprobs: tuple[TokenLogprobs, ...] = ()
    """Of the tokens whose text begins here, in order, when they were asked for."""


class ReasoningEvent(msgspec.Struct, frozen=True, kw_only=True, tag="reasoning"):
    """New text of the model's thinking, which is not part of the answer."""

    text: str


class ToolCallEvent(msgspec.Struct, frozen=True, kw_only=True, tag="tool_call"):
    """A piece of a tool call; pieces with one `index` belong together.

    `id` and `name` come whole with the first piece and are empty in later ones; `arguments` is
    the next fragment of JSON text.
    """

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


class FinishEvent(msgspec.Struct, frozen=True, kw_only=True, tag="finish"):
    """The last event of every stream that did not fail."""

    reason: FinishReason
    usage: Usage
    timings: Timings


Event = TextEvent | ReasoningEvent | ToolCallEvent | FinishEvent
"""What a stream yields: any number of pieces, then one `FinishEvent`."""


class EmbeddingResult(msgspec.Struct, frozen=True, kw_only=True):
    """One vector per input, in the order of the inputs."""

    vectors: tuple[bytes, ...]
    """Little-endian float32, `n_embd` numbers each."""
    n_embd: int
    """Of a model that ranks, inside the worker, the number of its scores."""
    n_tokens: int
    """Tokens of all inputs together."""


class RerankResult(msgspec.Struct, frozen=True, kw_only=True):
    """One score per document, in the order of the documents; the higher, the better."""

    scores: tuple[float, ...]
    """As the model's classifier says them: any number, or a chance of 0..1 with some models."""
    n_tokens: int
    """Tokens of all pairs together."""


class LaneLayout(NamedTuple):
    """How many sequences a model runs at once, and how long each may become."""

    n_lanes: int
    n_ctx: int
    """Tokens of each lane."""


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a loaded model says about itself."""

    architecture: str
    description: str
    n_ctx: int
    """Tokens one lane holds, in the layout there is now."""
    n_ctx_max: int
    """Tokens one sequence can have: lanes are made longer and fewer when one needs it."""
    n_ctx_train: int
    n_vocab: int
    n_embd: int
    n_params: int
    size_bytes: int
    n_lanes: int
    """Sequences that run at once, in the layout there is now; 0 where it was loaded for
    embeddings."""
    kv_bytes: int
    """Of the cells of all lanes, used or not; those of a draft model, or of its own draft
    heads, too."""
