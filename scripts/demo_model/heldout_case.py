"""What both examinations are made of."""

import dataclasses

from demo_model import task_smalltalk, task_tools, topics
from demo_model.chat_format import (
    Message,
    Sample,
    Tool,
    answer_text,
    assistant,
    calls,
    tool_result,
    user,
)


@dataclasses.dataclass(frozen=True)
class Case:
    """One question of an examination.

    Attributes:
        category: Row of the result table.
        sample: Conversation up to and including the last user or tool turn.
        answers: Any of these is right, character by character.
    """

    category: str
    sample: Sample
    answers: tuple[str, ...]


def fill(frame: str, topic: topics.Topic, i: int) -> str:
    """Put the topic's `i`-th name into a question and make the first letter a capital."""
    text = frame.format(
        a=topic.singular[i % len(topic.singular)], p=topic.plural[i % len(topic.plural)]
    )
    return text[0].upper() + text[1:]


def every_answer(topic: topics.Topic) -> tuple[str, ...]:
    """Return the topic's answers in every style."""
    return tuple(answer for style in topics.STYLES for answer in topic.answers(style))


def text_tool(name: str, about: str, key: str) -> Tool:
    """Describe a tool with one text parameter."""
    return task_tools.make_tool(name, about, {key: {"type": "string"}}, [key])


def _key_of(tool: Tool) -> str:
    """Return the name of the tool's one parameter."""
    return str(next(iter(tool["function"]["parameters"]["properties"])))


def small_talk(table: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]) -> list[Case]:
    """Ask every question of a table of questions and their answers."""
    return [
        Case("small talk and identity", Sample((user(question),)), answers)
        for questions, answers in table
        for question in questions
    ]


def call_and_answer(
    question: str, box: tuple[Tool, ...], call: tuple[Tool, str], shown: str, said: str
) -> list[Case]:
    """Examine a call and, in a second case, the answer from its result.

    Args:
        question: What the user says.
        box: Tools that are offered.
        call: The tool to be called, and what for its only parameter.
        shown: Result of the tool.
        said: Answer from that result.
    """
    wanted, value = call
    asked, called = user(question), calls((wanted["function"]["name"], {_key_of(wanted): value}))
    after = Sample((asked, called, tool_result(shown)), box)
    return [
        Case("tool call", Sample((asked,), box), (answer_text(called),)),
        Case("answer from tool result", after, (said,)),
    ]


def box_of(tool: Tool, other: Tool, i: int) -> tuple[Tool, ...]:
    """Offer a tool alone, before another one or after it."""
    return ((tool,), (tool, other), (other, tool))[i % 3 if i % 2 else 0]


def repeat(frames: tuple[str, ...], texts: tuple[str, ...]) -> list[Case]:
    """Ask for every text in two phrasings."""
    return [
        Case("repeat", Sample((user(frames[(i + j) % len(frames)].replace("{t}", text)),)), (text,))
        for i, text in enumerate(texts)
        for j in range(2)
    ]


def replace(frames: tuple[str, ...], texts: tuple[tuple[str, str, str], ...]) -> list[Case]:
    """Ask in two phrasings for every text with an old word replaced by a new one."""
    cases = []
    for i, (text, old, new) in enumerate(texts):
        for j in range(2):
            question = frames[(i + j) % len(frames)].replace("{x}", old).replace("{y}", new)
            question = question.replace("{t}", text)
            cases.append(Case("replace", Sample((user(question),)), (text.replace(old, new),)))
    return cases


def count(frames: tuple[str, ...], ranges: tuple[tuple[int, int], ...]) -> list[Case]:
    """Ask to count every range."""
    cases = []
    for i, (low, high) in enumerate(ranges):
        question = frames[i % len(frames)].format(a=low, b=high)
        answer = task_smalltalk.count_answer(low, high)
        cases.append(Case("count", Sample((user(question),)), (answer,)))
    return cases


def history(i: int) -> list[Message]:
    """Return the i-th long conversation, of about 700 and 1,500 tokens in turn."""
    turns: list[Message] = []
    for j in range((12, 26)[i % 2]):
        topic = topics.TOPICS[(3 * i + 7 * j) % len(topics.TOPICS)]
        turns += [user(f"What is {topic.singular[0]}?"), assistant(topic.plain[0])]
    return turns
