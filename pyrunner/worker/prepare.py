"""From a request's frame to an order for the engine. Runs on the prompt thread."""

from collections.abc import Sequence

from msgspec.structs import replace

from pyrunner.engine.constraint import Constraint
from pyrunner.engine.request import GenerationRequest
from pyrunner.types import CacheUse, FinishEvent, OutputFormat, TextEvent
from pyrunner.wire.frames import Chat, Complete, Embed, RequestFrame, Rerank
from pyrunner.worker.messages import EmbedInputs, Prepared, Submit
from pyrunner.worker.ports import Piece, Prompts, Rendered


def prepare(frame: RequestFrame, request_id: int, prompts: Prompts) -> Prepared:
    """Render and tokenise.

    Raises:
        InvalidRequestError: A leaf of it: the template refuses, a token is out of range.
    """
    match frame:
        case Chat(request=chat):
            prompts.prepare(chat.sampling)
            rendered = prompts.render(chat)
            limits = replace(chat.limits, stop=(*chat.limits.stop, *rendered.stop))
            generation = GenerationRequest(
                request_id=request_id,
                tokens=rendered.tokens,
                sampling=chat.sampling,
                limits=limits,
                salt=_salt(chat.cache, request_id),
                priority=chat.priority,
                keeps_cells=chat.cache.is_shared,
                constraint=_constraint(chat.output, prompts) or _call_constraint(rendered, prompts),
                prediction=prompts.tokenize_answer(chat.prediction) if chat.prediction else (),
                preserved_tokens=tuple(rendered.preserved_tokens),
                n_logprobs=chat.n_logprobs,
            )
            return Prepared(request_id, Submit(generation), rendered.parser)
        case Complete(request=raw):
            prompts.prepare(raw.sampling)
            tokens = _tokens(raw.prompt, prompts)
            generation = GenerationRequest(
                request_id=request_id,
                tokens=tokens,
                sampling=raw.sampling,
                limits=raw.limits,
                salt=_salt(raw.cache, request_id),
                priority=raw.priority,
                keeps_cells=raw.cache.is_shared,
                constraint=_constraint(raw.output, prompts),
                n_logprobs=raw.n_logprobs,
            )
            return Prepared(request_id, Submit(generation), PlainText())
        case Embed(request=embedding):
            inputs = tuple(prompts.inputs(embedding.inputs))
            order = EmbedInputs(request_id, inputs, embedding.normalize)
            return Prepared(request_id, order, PlainText())
        case Rerank(request=ranking):
            pairs = prompts.pairs(ranking.query, ranking.documents)
            order = EmbedInputs(request_id, tuple(pairs), normalize=False)
            return Prepared(request_id, order, PlainText())


class PlainText:
    """The parser of an answer that is nothing but text."""

    def feed(self, text: str) -> Sequence[Piece]:
        """All of it, at once."""
        return (TextEvent(text=text),)

    def finish(self, finish: FinishEvent) -> tuple[Sequence[Piece], FinishEvent]:
        """Nothing was held back."""
        return (), finish


def _salt(cache: CacheUse, request_id: int) -> str:
    # The first characters keep the three kinds apart.
    if not cache.is_shared:
        return f"#{request_id}"
    return f"={cache.salt}" if cache.salt else ""


def _constraint(output: OutputFormat | None, prompts: Prompts) -> Constraint | None:
    return None if output is None else prompts.constrain(output)


def _call_constraint(rendered: Rendered, prompts: Prompts) -> Constraint | None:
    return None if rendered.calls is None else prompts.constrain_calls(rendered.calls)


def _tokens(prompt: str | tuple[int, ...], prompts: Prompts) -> Sequence[int]:
    return prompts.tokenize(prompt) if isinstance(prompt, str) else prompt
