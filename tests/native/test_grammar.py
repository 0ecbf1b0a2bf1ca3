"""What the compiler of grammars refuses, over a real vocabulary."""

import json

import pytest
from support.chat_talk import ask, chat_format, user, vocabulary

from pyrunner.chat import grammar
from pyrunner.chat.grammar import MAX_GRAMMAR_BYTES, MAX_GRAMMAR_DEPTH, Grammars
from pyrunner.errors import InvalidParameterError, UnsupportedParameterError
from pyrunner.types import OutputFormat, OutputKind, TextEvent

pytestmark = pytest.mark.native

ANY_OBJECT = OutputFormat(kind=OutputKind.JSON_SCHEMA, text='{"type":"object"}')


WIDE = {"anyOf": [{"properties": {f"p{i}": {"type": "string"}}} for i in range(8)]}


@pytest.fixture(scope="module")
def grammars() -> Grammars:
    return Grammars(vocabulary("gpt-2"))


def _output(what: object, kind: OutputKind = OutputKind.JSON_SCHEMA) -> OutputFormat:
    text = what if isinstance(what, str) else json.dumps(what)
    return OutputFormat(kind=kind, text=text, param="response_format")


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"properties": {"a": {"not": {}}}}, "#/properties/a/not: this keyword"),
        ({"items": {"items": {"type": "string", "pattern": "(?=a)b"}}}, "#/items/items: regex"),
        ({"properties": {"a": {"$ref": "#/$defs/b"}}}, "#/properties/a: Pointer '/$defs/b'"),
        (
            {
                "$defs": {"x": {"type": "string"}},
                "oneOf": [{"$ref": "#/$defs/x"}, {"maxLength": 3}],
            },
            "#: oneOf",
        ),
        ({"allOf": [{"type": "null"}, {"type": "string"}]}, "#: Unsatisfiable"),
        (
            {
                "type": "array",
                "items": {"minimum": 3, "maximum": 2, "type": "integer"},
                "minItems": 1,
            },
            "#: Unsatisfiable",
        ),
        ({"$ref": "#"}, "nothing that this model can say"),
        ({"allOf": [WIDE] * 8}, "too large"),
    ],
)
def test_schema_that_cannot_be_kept_is_refused(grammars, schema, says):
    with pytest.raises(InvalidParameterError) as refused:
        grammars.constraint(_output(schema))
    assert refused.value.param == "response_format"
    assert says in refused.value.problem
    assert len(refused.value.problem) < 400


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        (OutputKind.REGEX, "(a", "unclosed group"),
        (OutputKind.REGEX, "(?<=a)b", "look-around"),
        (OutputKind.REGEX, "(" * (MAX_GRAMMAR_DEPTH + 1), "brackets"),
        (OutputKind.REGEX, "a" * (MAX_GRAMMAR_BYTES + 1), "bytes"),
        (OutputKind.GRAMMAR, "hello", "neither GBNF nor Lark"),
        (OutputKind.GRAMMAR, "root ::= other", "'other' not found"),
        (OutputKind.GRAMMAR, 'root ::= "a', "neither GBNF nor Lark"),
        (OutputKind.GRAMMAR, "root ::= " + "(" * 65, "brackets"),
        (OutputKind.GRAMMAR, "start: other", 'unknown name: "other"'),
        (OutputKind.GRAMMAR, 'start: %json {"not":{}}', "Unimplemented keys"),
        (OutputKind.GRAMMAR, 'root ::= root "a"', "nothing that this model can say"),
    ],
)
def test_text_that_is_no_grammar_is_refused(grammars, kind, text, says):
    with pytest.raises(InvalidParameterError, match=r"^'response_format' cannot be") as refused:
        grammars.constraint(_output(text, kind))
    assert says in refused.value.problem


def test_a_compiler_that_panics_is_a_refusal(grammars, capfd):
    with pytest.raises(InvalidParameterError):
        grammars.constraint(_output('start: <|endoftext|> "a"', OutputKind.GRAMMAR))
    capfd.readouterr()


def test_compiling_has_a_limit_of_time(grammars, monkeypatch):
    monkeypatch.setattr(grammar, "MAX_COMPILE_S", 0.0)
    with pytest.raises(InvalidParameterError, match="too complex"):
        grammars.constraint(ANY_OBJECT)


def test_white_space_ends(grammars):
    """Or else a model may go on with it for ever."""
    model = vocabulary("gpt-2")
    constraint = grammars.constraint(ANY_OBJECT)
    for token in model.tokenize('{\n "a"', add_special=False):
        constraint.accept(token)
    space = model.tokenize(" ", add_special=False)[0]
    constraint.accept(space)
    with pytest.raises(InvalidParameterError):
        constraint.accept(space)


def test_end_is_allowed_exactly_where_the_grammar_may_end(grammars):
    model = vocabulary("gpt-2")
    (end,) = model.end_of_generation_tokens
    constraint = grammars.constraint(_output("a+b?", OutputKind.REGEX))

    def may_end() -> bool:
        return bool(constraint.mask[end // 32] >> (end % 32) & 1)

    assert not may_end()
    constraint.accept(model.tokenize("a", add_special=False)[0])
    assert may_end()
    assert not constraint.is_complete
    constraint.accept(model.tokenize("b", add_special=False)[0])
    assert may_end()
    assert constraint.is_complete


def test_answers_do_not_share_their_state(grammars):
    model = vocabulary("gpt-2")
    one, other = grammars.constraint(ANY_OBJECT), grammars.constraint(ANY_OBJECT)
    before = bytes(other.mask)
    one.accept(model.tokenize("{", add_special=False)[0])
    assert bytes(other.mask) == before != bytes(one.mask)


def test_thinking_is_switched_off_for_a_format():
    rendered = chat_format("Qwen-Qwen3-0.6B").render(ask(user("Hi"), output=ANY_OBJECT))
    assert rendered.prompt.endswith("<think>\n\n</think>\n\n")
    assert rendered.parser.feed('{"<think>": 1}') == (TextEvent(text='{"<think>": 1}'),)


def test_prompt_that_opens_a_thought_is_refused():
    asked = ask(user("Hi"), output=ANY_OBJECT)
    with pytest.raises(UnsupportedParameterError, match="thought") as refused:
        chat_format("deepseek-ai-DeepSeek-R1-Distill-Llama-8B").render(asked)
    assert refused.value.param == "response_format"
    asked = ask(user("Hi"), output=ANY_OBJECT, template_kwargs='{"enable_thinking": true}')
    with pytest.raises(UnsupportedParameterError):
        chat_format("Qwen3.5-4B").render(asked)
