"""What was compiled once serves the next answers, each from the beginning."""

import pytest
from llguidance import LLMatcher, LLTokenizer

from pyrunner.chat.compiled import MAX_COMPILED, CompiledGrammars

TOKENIZER = LLTokenizer("byte")


class Compiler:
    """Compiles regular expressions, and remembers which."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._compiled = CompiledGrammars()

    def answer(self, pattern: str) -> LLMatcher:
        return self._compiled.copy(pattern, lambda: self.matcher(pattern))

    def matcher(self, pattern: str) -> LLMatcher:
        self.asked.append(pattern)
        matcher = LLMatcher(TOKENIZER, LLMatcher.grammar_from_regex(pattern))
        assert not matcher.is_error()
        return matcher


def test_the_next_answer_begins_where_the_first_one_began() -> None:
    compiler = Compiler()
    first, second, third = (compiler.answer("ab+") for _ in range(3))
    assert first.consume_tokens(TOKENIZER.tokenize_str("abb"))
    assert not second.consume_tokens(TOKENIZER.tokenize_str("b"))
    for answer in (third, compiler.answer("ab+")):
        assert answer.consume_tokens(TOKENIZER.tokenize_str("ab"))
    assert compiler.asked == ["ab+"]


def test_the_one_that_nobody_asked_for_longest_is_dropped() -> None:
    compiler = Compiler()
    patterns = [f"{'a' * n}b" for n in range(MAX_COMPILED + 1)]
    for pattern in (*patterns[:-1], patterns[0], patterns[-1], patterns[0], patterns[1]):
        compiler.answer(pattern)
    assert compiler.asked == [*patterns, patterns[1]]


def test_what_cannot_be_compiled_is_tried_again() -> None:
    compiler, compiled = Compiler(), CompiledGrammars()

    def refuse() -> LLMatcher:
        raise ValueError("no grammar")

    with pytest.raises(ValueError, match="no grammar"):
        compiled.copy("a", refuse)
    answer = compiled.copy("a", lambda: compiler.matcher("a"))
    assert answer.consume_tokens(TOKENIZER.tokenize_str("a"))
