"""A model without weights: it says words, and takes limits, stops, seeds and tools seriously.

Its tokens are words with the space before them. The scripted runtime plays it where no engine is.
"""

import random
from collections.abc import Sequence

from pyrunner.types import (
    ChatRequest,
    CompletionRequest,
    FinishEvent,
    FinishReason,
    TextEvent,
    Timings,
    TokenChance,
    TokenLogprobs,
    ToolCallEvent,
    ToolChoice,
    Usage,
)
from support.scripted_runtime import Item

WORDS = ("a", "container", "is", "an", "image", "that", "runs", "and", "nothing", "more")
LONGEST = 24


def answer(request: ChatRequest | CompletionRequest) -> Sequence[Item]:
    """What the model says to a request."""
    n_prompt = len(str(request).split())
    if isinstance(request, ChatRequest) and _calls(request):
        return _call(request.required_tool or request.tools[0].name, n_prompt)
    seed = request.sampling.seed
    if request.sampling.temperature == 0:
        seed = 0
    chooser = random.Random(seed)
    words = [f" {chooser.choice(WORDS)}" for _ in range(LONGEST)]
    return _spoken(words, request, n_prompt)


def _calls(request: ChatRequest) -> bool:
    return bool(request.tools) and request.tool_choice is not ToolChoice.NONE


def _spoken(
    words: Sequence[str], request: ChatRequest | CompletionRequest, n_prompt: int
) -> Sequence[Item]:
    limits = request.limits
    limit = LONGEST if limits.max_tokens is None else limits.max_tokens
    is_cut = limit < len(words)
    said = ""
    for i, word in enumerate(words[:limit]):
        said += word
        found = [said.index(stop) for stop in limits.stop if stop in said]
        if found:
            return TextEvent(text=said[: min(found)]), _finish(FinishReason.STOP, n_prompt, i + 1)
    pieces = [_piece(word, request.n_logprobs) for word in words[:limit]]
    reason = FinishReason.LENGTH if is_cut else FinishReason.STOP
    return *pieces, _finish(reason, n_prompt, len(pieces))


def _piece(word: str, n_logprobs: int | None) -> TextEvent:
    if n_logprobs is None:
        return TextEvent(text=word)
    others = [f" {each}" for each in WORDS if f" {each}" != word]
    chances = [TokenChance(i, each.encode(), -0.5 - i) for i, each in enumerate((word, *others))]
    logprobs = TokenLogprobs(chances[0], tuple(chances[:n_logprobs]))
    return TextEvent(text=word, logprobs=(logprobs,))


def _call(name: str, n_prompt: int) -> Sequence[Item]:
    return (
        ToolCallEvent(index=0, id="call_1", name=name),
        ToolCallEvent(index=0, arguments='{"city":'),
        ToolCallEvent(index=0, arguments=' "Paris"}'),
        _finish(FinishReason.TOOL_CALLS, n_prompt, 9),
    )


def _finish(reason: FinishReason, n_prompt: int, n_said: int) -> FinishEvent:
    return FinishEvent(
        reason=reason,
        usage=Usage(prompt_tokens=n_prompt, completion_tokens=n_said),
        timings=Timings(queue_s=0.0, prompt_s=0.01, decode_s=0.01),
    )
