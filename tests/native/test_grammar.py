"""What the compiler of grammars refuses, over a real vocabulary."""

import collections
import contextlib
import itertools
import json
import random
import time

import pytest
from support.chat_talk import ask, chat_format, user, vocabulary

from pyrunner.chat import grammar
from pyrunner.chat.grammar import (
    MAX_GRAMMAR_BRACKETS,
    MAX_GRAMMAR_BYTES,
    MAX_GRAMMAR_DEPTH,
    MAX_GRAMMAR_RULES,
    Grammars,
)
from pyrunner.chat.schema import MAX_PATTERN, MAX_REFERENCED
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
        ({"properties": {"a": {"$ref": "#/$defs/b"}}}, "#/properties/a/$ref: it does not point"),
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
        (OutputKind.GRAMMAR, "\n" * MAX_GRAMMAR_BYTES, "neither GBNF nor Lark"),
        (OutputKind.GRAMMAR, 'root ::= "a', 'a " is not closed'),
        (OutputKind.GRAMMAR, 'start ::= "a"', "No 'root' rule"),
        (OutputKind.GRAMMAR, "root ::= " + "(" * 65, "brackets"),
        (OutputKind.GRAMMAR, "start: other", 'unknown name: "other"'),
        (OutputKind.GRAMMAR, 'start: %json {"type":"null"}', "'%json' in a grammar"),
        (OutputKind.GRAMMAR, 'root ::= root "a"', "nothing that this model can say"),
    ],
)
def test_text_that_is_no_grammar_is_refused(grammars, kind, text, says):
    with pytest.raises(InvalidParameterError, match=r"^'response_format' cannot be") as refused:
        grammars.constraint(_output(text, kind))
    assert says in refused.value.problem


def _follows(grammars: Grammars, grammar_text: str, answer: str) -> bool:
    model = vocabulary("gpt-2")
    constraint = grammars.constraint(_output(grammar_text, OutputKind.GRAMMAR))
    try:
        for token in model.tokenize(answer, add_special=False):
            constraint.accept(token)
    except InvalidParameterError:
        return False
    (end,) = model.end_of_generation_tokens
    return constraint.is_complete or bool(constraint.mask[end // 32] >> (end % 32) & 1)


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        (r'root ::= "\u00e9abc"', "\u00e9abc", "\ue9ab\u0063"),
        (r'root ::= "\xe9" "\U0001F433"', "\u00e9\U0001f433", "xe9"),
        (r"root ::= [\u00e9-\u00eb]", "\u00ea", "9"),
        (r'root ::= [^"\\\x7F\x00-\x1F]', "/", "\n"),
        (r"root ::= [a&&b]", "&", "c"),
        (r"root ::= [ --b]", "b", "c"),
        (r"root ::= [\x5e-]", "-", "a"),
        (r"root ::= [+--]", ",", "a"),
        (r"root ::= [/\[\]]", "]", "\\"),
        (r'root ::= "\"\\\[\]/\t"', '"\\[]/\t', "x"),
        (r'root ::= "a\x01b"{2}', "a\x01ba\x01b", "a\x01bb"),
        ('root ::= "a\nb"', "a\nb", "ab"),
        ("root ::= .", "\n", ""),
        ('root ::= start # " [ ::=\nstart ::= "a"', "a", "b"),
        ('# start: "b"\r\n\r\nroot ::= "a"\r\n\r\n', "a", "b"),
        ('\n\t start \t:"a"', "a", "b"),
        ('%llguidance {}\nstart: other\nother: "a"', "a", "b"),
        ("\n" * 16_000 + 'start: "a"', "a", "b"),
        ("\n" * 16_000 + 'root ::= "a"', "a", "b"),
    ],
)
def test_both_languages_are_followed_to_the_letter(grammars, text, good, bad):
    assert _follows(grammars, text, good)
    assert not _follows(grammars, text, bad)


# Each rule is a terminal only when the next one is known to be.
NAMES = [f"r{i}" for i in range(MAX_GRAMMAR_RULES - 1)]
FILLER = '""' * ((MAX_GRAMMAR_BYTES // MAX_GRAMMAR_RULES - 15) // 2)
CHAIN = [f"{name} ::= {FILLER} {after}" for name, after in itertools.pairwise(NAMES)]
DEEP = "(" * (MAX_GRAMMAR_BRACKETS // MAX_GRAMMAR_RULES)
LARK_CHAIN = [
    f"{name}: {DEEP}{after}{DEEP.replace('(', ')')}" for name, after in itertools.pairwise(NAMES)
]


@pytest.mark.parametrize(
    "text",
    [
        "\n" * MAX_GRAMMAR_BYTES,
        " " * MAX_GRAMMAR_BYTES,
        "\n".join(["root ::= r0", *CHAIN, f'{NAMES[-1]} ::= "a"']),
        "\n".join(["start: r0", *LARK_CHAIN, f'{NAMES[-1]}: "a"']),
    ],
    ids=["lines", "blanks", "chain", "lark chain"],
)
def test_longest_grammars_are_compiled_or_refused_soon(grammars, text):
    assert len(text) <= MAX_GRAMMAR_BYTES
    started_s = time.monotonic()
    with contextlib.suppress(InvalidParameterError):
        grammars.constraint(_output(text, OutputKind.GRAMMAR))
    assert time.monotonic() - started_s < 2


@pytest.mark.parametrize("definition", [": ", " ::= "])
@pytest.mark.parametrize(
    ("rule", "n", "says"),
    [
        ("r{i}{definition}r{i}", MAX_GRAMMAR_RULES, "rules"),
        ("()", MAX_GRAMMAR_BRACKETS, "brackets"),
    ],
)
def test_grammars_that_would_kill_the_compiler_are_refused(grammars, definition, rule, n, says):
    root = "start: " if definition == ": " else "root ::= "
    more = "\n".join(rule.format(i=i, definition=definition) for i in range(n))
    for text in (f'{root}"a" (\n{more}', f'{root}"a"\n[{more}'):
        with pytest.raises(InvalidParameterError, match=f"it has more than .* {says}"):
            grammars.constraint(_output(text, OutputKind.GRAMMAR))


def test_schema_whose_parts_refer_to_each_other_is_compiled_up_to_the_limit(grammars):
    n = (MAX_REFERENCED - 2) // 2
    parts = {f"d{i}": {"items": {"$ref": f"#/$defs/d{i + 1}"}} for i in range(n)}
    grammars.constraint(_output({"$ref": "#/$defs/d0", "$defs": {**parts, f"d{n}": {}}}))


def test_longest_pattern_is_compiled_or_refused_soon(grammars):
    started_s = time.monotonic()
    with contextlib.suppress(InvalidParameterError):
        grammars.constraint(_output({"type": "string", "pattern": "a?" * (MAX_PATTERN // 2)}))
    assert time.monotonic() - started_s < 2


def test_states_of_one_answer_have_a_limit(grammars):
    """Here every text is a state of its own, of 1 to 2 kB."""
    constraint = grammars.constraint(_output("[ab]*a[ab]{20}", OutputKind.REGEX))
    model = vocabulary("gpt-2")
    letters = [model.tokenize(each, add_special=False)[0] for each in "ab"]
    drawn = random.Random(1).choices(letters, k=20_000)
    with pytest.raises(InvalidParameterError, match="too many states: 15000"):
        collections.deque(map(constraint.accept, drawn), maxlen=0)


def test_place_of_a_refusal_is_looked_for_with_a_deadline(grammars, monkeypatch):
    schema = {"items": {"items": {"type": "string", "pattern": "(?=a)b"}}}
    monkeypatch.setattr(grammar, "MAX_LOCATE_S", 0.0)
    with pytest.raises(InvalidParameterError, match="followed: #: regex"):
        grammars.constraint(_output(schema))


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
