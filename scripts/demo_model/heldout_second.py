"""The second examination: phrasings that nobody who shaped the corpus had read.

The wrong answers of the first one were looked at while the corpus was written, so it no longer
is a blind test; this one is, for the first model that was trained with it. Values come from
`heldout_second_values`.
"""

import functools
import json

from demo_model import heldout_second_values as kept
from demo_model import task_explain, task_json, task_smalltalk, task_tools, topics
from demo_model.chat_format import Message, Sample, assistant, system, user
from demo_model.heldout_case import (
    Case,
    box_of,
    call_and_answer,
    count,
    every_answer,
    fill,
    history,
    repeat,
    replace,
    small_talk,
    text_tool,
)

PLAIN = (
    "What would you say {a} is?", "Please tell me something about {p}.",
    "Someone mentioned {a} to me. What is that?", "In your own words, what is {a}?",
    "Could you give me an introduction to {p}?", "How do you define {a}?",
    "I would like to know more about {p}.", "Can I ask you what {a} is?",
)  # fmt: skip
STYLED = {
    "simple": (
        "What is {a}? Use only simple words, please.", "Put {p} into easy words for me.",
        "Could you explain {a} to someone who is a beginner?", "Make {a} simple for me, please.",
    ),
    "short": (
        "In no more than one sentence: what is {a}?", "Give me one sentence about {p}.",
        "What is {a}? Just a short sentence, please.", "Describe {p} as briefly as you can.",
    ),
    "example": (
        "What is {a}? I would like to see an example.", "Show me an example that explains {a}.",
        "Tell me about {p} and add an example.", "Could you use an example to explain {a}?",
    ),
}  # fmt: skip
COMPARE = ("What makes {a} different from {b}?", "I mix up {a} and {b}. How do they differ?")

SMALL = (
    (("Hi, good to meet you!", "Hello, little model!", "A very good morning to you!"),
     task_smalltalk.GREETING),
    (("Thanks, that is just what I needed!", "That was useful, thank you."),
     task_smalltalk.THANKS),
    (("Alright, bye for now!", "I am off, goodbye!"), task_smalltalk.GOODBYE),
    (("Hello, how are you feeling today?",), task_smalltalk.MOOD),
    (("May I ask who you are?", "What do they call you?", "Say a few words about yourself."),
     task_smalltalk.WHO),
    (("What are the things you can do?", "How could you help me?"), task_smalltalk.ABILITIES),
    (("By whom were you made?", "Tell me how you were trained."), task_smalltalk.MAKER),
    (("How many parameters are there in you?",), task_smalltalk.SIZE),
    (("Tell me, are you ChatGPT?",), task_smalltalk.OTHER_MODEL),
    (("Are you really a human being?",), task_smalltalk.HUMAN),
)  # fmt: skip

UNKNOWN = (
    "Where can I see a {n}?", "Tell me a bedtime story about a {n}.",
    "Can you recommend a good {n}?", "Why do people like the {n}?", "How heavy is a {n}?",
)  # fmt: skip

JSON_FACTS = (
    ("{name} is {age} years old and lives in {city}. Please give me this as JSON.",
     ("name", "age", "city")),
    ("Please write this as JSON: {name} lives in {city}.", ("name", "city")),
    ('I need a JSON object with the keys "age" and "name". {name} is {age} years old.',
     ("age", "name")),
    ("Could you turn this sentence into JSON? {name} comes from {city}.", ("name", "city")),
    ("Use the keys city, name and age in your JSON: {name} is {age} years old and lives in {city}.",
     ("city", "name", "age")),
    ('Write JSON that looks like {{"city": "...", "name": "..."}}. {name} lives in {city}.',
     ("city", "name")),
    ("JSON for this sentence, please: The {item} costs {price} euros.", ("item", "price")),
    ("Reply with nothing but JSON: {name} scored {points} points.", ("name", "points")),
)  # fmt: skip
JSON_TOPICS = (
    "I want a JSON answer: what is {a}?", "Tell me what {a} is, but in JSON.",
    "With the JSON keys topic and definition, explain {a}.",
)  # fmt: skip
JSON_LISTS = (
    "Please write a JSON list with {v}.", "Can you turn {v} into a JSON array?",
    "I would like a JSON list of {v}.",
)  # fmt: skip

WEATHER = (
    "Would you look up how the weather is in {c}?", "Is it nice outside in {c}?",
    "Please tell me how warm it is in {c}.", "I am flying to {c}. What is the weather there?",
    "What will the weather be in {c} today?", "How many degrees is it in {c} right now?",
)  # fmt: skip
CALCULATIONS = (
    ("What does {a} plus {b} give?", "{a} + {b}"), ("Can you work out {a} minus {b}?", "{a} - {b}"),
    ("Tell me the product of {a} and {b}.", "{a} * {b}"),
    ("Please divide {a} by {b} for me.", "{a} / {b}"),
    ("Take {a} and multiply it by {b}.", "{a} * {b}"),
    ("I want to subtract {b} from {a}. What is left?", "{a} - {b}"),
    ("Calculate the sum of {a} and {b}, please.", "{a} + {b}"),
    ("Give me the result of ({a} - {b}) * {c}.", "({a} - {b}) * {c}"),
)  # fmt: skip
NOT_NEEDED = (
    ("Hello, dear model!", task_smalltalk.GREETING),
    ("Can you say who you are?", task_smalltalk.WHO),
    ("Thanks, you did well!", task_smalltalk.THANKS),
)

ECHO = (
    "Write down this text exactly as it is: {t}", "Could you repeat this for me? {t}",
    "Give me back this text without any change:\n{t}", 'Please say "{t}"',
    "I would like you to copy this: {t}",
)  # fmt: skip
REPLACE = (
    'Please copy the text with "{y}" in place of "{x}": {t}',
    "Write this once more, but with {y} instead of {x}: {t}",
    "Swap the word {x} for {y} in this text: {t}",
    "In the text below, change {x} to {y}.\n{t}",
)
COUNT = ("Please write all numbers from {a} to {b}.", "Could you count from {a} up to {b} for me?")


def _explain() -> list[Case]:
    cases = []
    for i, topic in enumerate(topics.TOPICS):
        for j in range(2 + i % 2):
            question = fill(PLAIN[(i + 3 * j) % len(PLAIN)], topic, i + j + 1)
            cases.append(Case("explain", Sample((user(question),)), every_answer(topic)))
        for j in range(2):
            style = tuple(STYLED)[(i + j) % len(STYLED)]
            question = fill(STYLED[style][i % len(STYLED[style])], topic, i + j)
            cases.append(Case("explain, style", Sample((user(question),)), topic.answers(style)))
    for i, (pair, answer) in enumerate(topics.COMPARISONS.items()):
        second, first = (task_explain.topic_by_key(key).plural[0] for key in pair)
        question = COMPARE[i % 2].format(a=first, b=second)
        cases.append(Case("explain", Sample((user(question),)), (answer,)))
    return cases


def _unknown() -> list[Case]:
    return [
        Case(
            "does not know",
            Sample((user(UNKNOWN[i % len(UNKNOWN)].format(n=noun)),)),
            task_explain.UNKNOWN_ANSWERS,
        )
        for i, noun in enumerate(kept.UNKNOWN_NOUNS)
    ]


def _json() -> list[Case]:
    cases = []
    for i in range(11):
        frame, keys = JSON_FACTS[i % len(JSON_FACTS)]
        values: dict[str, str | int] = {
            "name": kept.PEOPLE[i % len(kept.PEOPLE)],
            "age": kept.NUMBERS[i % 7],
            "city": kept.CITIES[i],
            "item": kept.WORDS[i],
            "price": kept.NUMBERS[i + 7],
            "points": kept.NUMBERS[i + 8],
        }
        answer = json.dumps({key: values[key] for key in keys})
        cases.append(Case("json", Sample((user(frame.format(**values)),)), (answer,)))
    for i, topic in enumerate(topics.TOPICS[3:9]):
        question = fill(JSON_TOPICS[i % len(JSON_TOPICS)], topic, 0)
        cases.append(Case("json", Sample((user(question),)), (task_json.topic_json(topic),)))
    for i, listed in enumerate((kept.WORDS[3:7], kept.NUMBERS[8:11], kept.CITIES[4:7])):
        shown = f"{', '.join(str(value) for value in listed[:-1])} and {listed[-1]}"
        question = JSON_LISTS[i].replace("{v}", shown)
        cases.append(Case("json", Sample((user(question),)), (json.dumps(listed),)))
    return cases


WEATHER_TOOLS = (
    text_tool("read_weather", "Get the weather of a place.", "place"),
    text_tool("get_weather", "Current weather of a city", "city"),
    text_tool("weather_for_city", "Tells how the weather is.", "location"),
)
CALCULATORS = (
    text_tool("calculator", "Calculates an arithmetic expression.", "expression"),
    text_tool("compute_value", "Compute the value of a formula.", "formula"),
    text_tool("do_calculation", "Evaluate an expression.", "expression"),
)


def _tool_cases() -> list[Case]:
    cases: list[Case] = []
    for i, city in enumerate(kept.CITIES):
        tool, other = WEATHER_TOOLS[i % 3], CALCULATORS[i % 3]
        degrees, sky = kept.NUMBERS[i % 4], task_tools.SKIES[-1 - i % len(task_tools.SKIES)]
        shown = (
            f"{sky}, {degrees} degrees",
            json.dumps({"temp": degrees, "description": sky}),
            json.dumps({"location": city, "conditions": sky, "degrees": degrees}),
        )[i % 3]
        said = task_tools.weather_sentence(degrees, sky, city)
        question = WEATHER[i % len(WEATHER)].format(c=city)
        cases += call_and_answer(question, box_of(tool, other, i), (tool, city), shown, said)
    for i, (frame, form) in enumerate(CALCULATIONS):
        a, b, c = (kept.NUMBERS[(i * step + 4) % len(kept.NUMBERS)] for step in (3, 7, 11))
        numbers = {"a": max(a, b), "b": min(a, b), "c": c}
        tool, other = CALCULATORS[i % 3], WEATHER_TOOLS[i % 3]
        shown, said = (json.dumps({"value": c}), str(c))[i % 2], task_tools.result_sentence(str(c))
        call = (tool, form.format(**numbers))
        box = box_of(tool, other, i)
        cases += call_and_answer(frame.format(**numbers), box, call, shown, said)
    return cases


def _not_needed() -> list[Case]:
    box = (CALCULATORS[1], WEATHER_TOOLS[1])
    cases = [
        Case("tool not needed", Sample((user(question),), box), answers)
        for question, answers in NOT_NEEDED
    ]
    for i, topic in enumerate(topics.TOPICS[1:4]):
        question = user(fill(PLAIN[(i + 5) % len(PLAIN)], topic, i))
        cases.append(Case("tool not needed", Sample((question,), box), every_answer(topic)))
    return cases


def _follow_ups() -> list[Case]:
    """Put questions after other turns and under other system prompts."""
    cases = []
    opening: tuple[Message, ...] = (user(SMALL[0][0][0]), assistant(task_smalltalk.GREETING[0]))
    text = kept.ECHO_TEXTS[1]
    copied: tuple[Message, ...] = (user(ECHO[0].replace("{t}", text)), assistant(text))
    strange = system("You work at the front desk of a mountain hotel. Your name is Otto.")
    for i, topic in enumerate(topics.TOPICS[:7]):
        question = user(fill(PLAIN[(i + 2) % len(PLAIN)], topic, i))
        before = (copied, opening, (*copied, *opening))[i % 3]
        heads: tuple[Message, ...] = () if i % 2 else (strange,)
        sample = Sample((*heads, *before, question))
        cases.append(Case("follow-up and other system prompts", sample, every_answer(topic)))
    for i, person in enumerate(kept.PEOPLE[4:7]):
        topic = topics.TOPICS[i + 5]
        told = (user(f"Good day, my name is {person}."),
                assistant(f"Nice to meet you, {person}! How can I help you?"))  # fmt: skip
        middle = (user(fill(PLAIN[i + 3], topic, i)), assistant(topic.plain[0]))
        sample = Sample((*told, *middle, user("Do you still know my name?")))
        cases.append(
            Case("follow-up and other system prompts", sample, (f"Your name is {person}.",))
        )
    return cases


def _long() -> list[Case]:
    """Put questions behind long conversations."""
    cases = []
    for i in range(6):
        topic, text = topics.TOPICS[9 - i], kept.ECHO_TEXTS[i]
        question, answers = (
            (ECHO[i % len(ECHO)].replace("{t}", text), (text,)),
            (fill(PLAIN[i % len(PLAIN)], topic, i), every_answer(topic)),
        )[i // 2 % 2]
        cases.append(Case("long context", Sample((*history(i + 1), user(question))), answers))
    return cases


@functools.cache
def cases() -> tuple[Case, ...]:
    """Return every case of the examination, always in the same order."""
    return (
        *_explain(), *small_talk(SMALL), *_unknown(), *_json(), *_tool_cases(), *_not_needed(),
        *repeat(ECHO, kept.ECHO_TEXTS), *replace(REPLACE, kept.REPLACE_CASES),
        *count(COUNT, kept.COUNT_CASES), *_follow_ups(), *_long(),
    )  # fmt: skip
