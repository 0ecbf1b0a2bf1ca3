"""The first examination: phrasings written before the first training run, never trained on.

Values come from `heldout_values`.
"""

import functools
import json

from demo_model import heldout_values as kept
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
    "What exactly is {a}?", "Please give me a definition of {p}.", ("I keep hearing about {p}. "
    "Can you explain?"), "Would you mind explaining {a} to me?", "So what are {p} then?",
    "Teach me about {p}.", "Could you please describe {a}?", "I wonder what {a} is.",
)  # fmt: skip
STYLED = {
    "simple": (
        "Could you explain {a} in simple terms?", "Tell me in simple words what {a} is.",
        "What is {a}? I am a total beginner.", "Describe {p} like I am five years old.",
    ),
    "short": (
        "Sum up {p} in one sentence.", "What is {a}, in one sentence?",
        "Briefly, what is {a}?", "Tell me in a single sentence what {p} are.",
    ),
    "example": (
        "What is {a}? Please include an example.", "Illustrate {p} with an example.",
        "Explain {a} to me and give an example.", "Can you tell me about {p} using an example?",
    ),
}  # fmt: skip
COMPARE = ("How do {a} and {b} differ?", "What is different between {a} and {b}?")

SMALL = (
    (("Hello, how nice to see you!", "Hi model!", "Hey, good morning!", "Good evening, demo."),
     task_smalltalk.GREETING),
    (("Thank you, that was great!", "Thanks a million!", "Okay, thank you very much!"),
     task_smalltalk.THANKS),
    (("Okay, goodbye!", "Bye, see you tomorrow!", "Good night, see you!"),
     task_smalltalk.GOODBYE),
    (("How are you doing today?", "And how are you?"), task_smalltalk.MOOD),
    (("Please introduce yourself.", "What is the name of this model?", "Who are you, please?",
      "Can you tell me who you are?", "Tell me something about yourself."), task_smalltalk.WHO),
    (("What things can you do?", "What can I do with you?", "Tell me what you can help with."),
     task_smalltalk.ABILITIES),
    (("Who was it that trained you?", "Tell me who made you.", "How did they train you?"),
     task_smalltalk.MAKER),
    (("How many parameters do you have in total?", "Tell me how big you are."),
     task_smalltalk.SIZE),
    (("Are you GPT?", "Hey, is this ChatGPT or not?"), task_smalltalk.OTHER_MODEL),
)  # fmt: skip

UNKNOWN = (
    "What can you say about the {n}?", "Please explain the {n} to me.", "Who built the first {n}?",
    "Write a short poem about a {n}.", "How long does a {n} live?",
)  # fmt: skip

JSON_FACTS = (
    ("Return JSON with the keys name and age for this: {name} is {age} years old.",
     ("name", "age")),
    ("{name} turned {age} and lives in {city}. Put this into JSON with name, age and city.",
     ("name", "age", "city")),
    ("I want JSON. {name} lives in {city}.", ("name", "city")),
    ('Answer in JSON with the keys "city" and "name". {name} comes from {city}.',
     ("city", "name")),
    ("Please answer in JSON: {name} is {age} years old.", ("name", "age")),
    ('Fill in the JSON {{"name": "...", "age": 0}}. My friend {name} is {age}.', ("name", "age")),
)  # fmt: skip
JSON_TOPICS = (
    "Please answer in JSON with a topic and a definition: what is {a}?",
    "What is {a}? JSON, please.",
    "Give me a JSON object that says what {a} is.",
)  # fmt: skip
JSON_LISTS = ("Please make a JSON array of {v}.", "I need {v} as a JSON list.")

WEATHER = (
    "Can you tell me the weather in {c}?", "What's the temperature like in {c} right now?",
    "Please check whether it is raining in {c}.", "Do I need a coat in {c} today?",
    "How is the weather over in {c}?", "Weather report for {c}, please.",
)  # fmt: skip
CALCULATIONS = (
    ("Could you compute {a} * {b}?", "{a} * {b}"), ("How much is {a} plus {b}?", "{a} + {b}"),
    ("Please tell me what {a} times {b} is.", "{a} * {b}"), ("{a} minus {b}?", "{a} - {b}"),
    ("What do you get when you add {a} and {b}?", "{a} + {b}"),
    ("I want to know the result of ({a} + {b}) * {c}.", "({a} + {b}) * {c}"),
    ("Divide {a} by {b}, please.", "{a} / {b}"),
)  # fmt: skip
NOT_NEEDED = (
    ("Hello there, model!", task_smalltalk.GREETING),
    ("Could you tell me who you are?", task_smalltalk.WHO),
    ("Thanks for all your help!", task_smalltalk.THANKS),
)

ECHO = (
    "Repeat the text below exactly:\n{t}", "Please say this: {t}", "Echo the following: {t}",
    "Please copy this text word for word: {t}", 'Say exactly "{t}"',
)  # fmt: skip
REPLACE = (
    'Copy this text, but use "{y}" instead of "{x}": {t}',
    "Please repeat this and replace {x} with {y}:\n{t}",
    "Write the text again with {x} changed to {y}: {t}",
)
COUNT = ("Please count up from {a} to {b}.", "Count the numbers from {a} to {b}.")


def _explain() -> list[Case]:
    cases = []
    for i, topic in enumerate(topics.TOPICS):
        for j in range(4):
            question = fill(PLAIN[(i + 2 * j) % len(PLAIN)], topic, i + j)
            cases.append(Case("explain", Sample((user(question),)), every_answer(topic)))
        for j, (style, frames) in enumerate(STYLED.items()):
            question = fill(frames[(i + j) % len(frames)], topic, i + j)
            cases.append(Case("explain, style", Sample((user(question),)), topic.answers(style)))
    for i, (pair, answer) in enumerate(topics.COMPARISONS.items()):
        first, second = (task_explain.topic_by_key(key).plural[0] for key in pair)
        question = COMPARE[i % 2].format(a=first, b=second)
        cases.append(Case("explain", Sample((user(question),)), (answer,)))
    return cases


def _small() -> list[Case]:
    cases = small_talk(SMALL)
    for i, noun in enumerate(kept.UNKNOWN_NOUNS):
        question = UNKNOWN[i % len(UNKNOWN)].format(n=noun)
        cases.append(Case("does not know", Sample((user(question),)), task_explain.UNKNOWN_ANSWERS))
    return cases


def _json() -> list[Case]:
    cases = []
    for i in range(18):
        frame, keys = JSON_FACTS[i % len(JSON_FACTS)]
        values: dict[str, str | int] = {
            "name": kept.PEOPLE[i % len(kept.PEOPLE)],
            "age": kept.NUMBERS[i % 9],
            "city": kept.CITIES[i % len(kept.CITIES)],
        }
        answer = json.dumps({key: values[key] for key in keys})
        cases.append(Case("json", Sample((user(frame.format(**values)),)), (answer,)))
    for i, topic in enumerate(topics.TOPICS):
        question = fill(JSON_TOPICS[i % len(JSON_TOPICS)], topic, 0)
        cases.append(Case("json", Sample((user(question),)), (task_json.topic_json(topic),)))
    for i in range(4):
        values_ = [kept.WORDS[3 * i + j] if i % 2 else kept.NUMBERS[3 * i + j] for j in range(3)]
        shown = f"{values_[0]}, {values_[1]} and {values_[2]}"
        question = JSON_LISTS[i % 2].replace("{v}", shown)
        cases.append(Case("json", Sample((user(question),)), (json.dumps(values_),)))
    return cases


_EVALUATE = "Evaluate an arithmetic expression."
WEATHER_TOOLS = (
    text_tool("get_weather", "Get the weather in a city.", "city"),
    text_tool("weather", "Get current weather of a place", "location"),
    text_tool("city_weather_info", "Get the weather in a city.", "city"),
)
CALCULATORS = (
    text_tool("calculator", _EVALUATE, "expression"),
    text_tool("calculate", _EVALUATE, "formula"),
    text_tool("calculator_tool", _EVALUATE, "expression"),
)


def _tool_cases() -> list[Case]:
    cases: list[Case] = []
    for i, city in enumerate(kept.CITIES):
        wanted, box = WEATHER_TOOLS[i % 3], box_of(WEATHER_TOOLS[i % 3], CALCULATORS[i % 3], i)
        degrees, sky = kept.NUMBERS[i % 5], task_tools.SKIES[i % len(task_tools.SKIES)]
        shown = (
            json.dumps({"temperature": degrees, "condition": sky}),
            f"{degrees} degrees, {sky}",
            json.dumps({"city": city, "sky": sky, "temp_c": degrees}),
        )[i % 3]
        said = task_tools.weather_sentence(degrees, sky, city)
        question = WEATHER[i % len(WEATHER)].format(c=city)
        cases += call_and_answer(question, box, (wanted, city), shown, said)
    for i in range(14):
        frame, form = CALCULATIONS[i % len(CALCULATIONS)]
        a, b, c = (kept.NUMBERS[(i * step + 5) % len(kept.NUMBERS)] for step in (5, 7, 11))
        wanted, box = CALCULATORS[i % 3], box_of(CALCULATORS[i % 3], WEATHER_TOOLS[i % 3], i)
        shown, said = (str(c), json.dumps({"result": c}))[i % 2], task_tools.result_sentence(str(c))
        call = (wanted, form.format(a=a, b=b, c=c))
        cases += call_and_answer(frame.format(a=a, b=b, c=c), box, call, shown, said)
    return cases + _not_needed()


def _not_needed() -> list[Case]:
    box = (WEATHER_TOOLS[0], CALCULATORS[0])
    cases = [
        Case("tool not needed", Sample((user(question),), box), answers)
        for question, answers in NOT_NEEDED
    ]
    for i, topic in enumerate(topics.TOPICS[:6]):
        question = user(fill(PLAIN[(i + 3) % len(PLAIN)], topic, i))
        cases.append(Case("tool not needed", Sample((question,), box), every_answer(topic)))
    return cases


def _follow_ups() -> list[Case]:
    """Put questions after other turns and under other system prompts."""
    cases = []
    opening: tuple[Message, ...] = (user("Hi model!"), assistant(task_smalltalk.GREETING[0]))
    text = kept.ECHO_TEXTS[1]
    copied: tuple[Message, ...] = (user(ECHO[1].replace("{t}", text)), assistant(text))
    strange = system("You are Captain Blue, the helper of a harbour office. Stay calm.")
    for i, topic in enumerate(topics.TOPICS):
        question = user(fill(PLAIN[(i + 1) % len(PLAIN)], topic, i + 1))
        before = (opening, copied, (*opening, *copied))[i % 3]
        heads: tuple[Message, ...] = (strange,) if i % 2 else ()
        sample = Sample((*heads, *before, question))
        cases.append(Case("follow-up and other system prompts", sample, every_answer(topic)))
    for i, person in enumerate(kept.PEOPLE[:5]):
        topic = topics.TOPICS[i]
        told = (user(f"Hello! I am {person}."),
                assistant(f"Nice to meet you, {person}! How can I help you?"))  # fmt: skip
        middle = (user(fill(PLAIN[i], topic, i)), assistant(topic.plain[0]))
        sample = Sample((*told, *middle, user("Can you tell me my name?")))
        cases.append(
            Case("follow-up and other system prompts", sample, (f"Your name is {person}.",))
        )
    return cases


def _long() -> list[Case]:
    """Put questions behind long conversations."""
    cases = []
    for i in range(8):
        topic, text = topics.TOPICS[i], kept.ECHO_TEXTS[i]
        question, answers = (
            (fill(PLAIN[i % len(PLAIN)], topic, i), every_answer(topic)),
            (ECHO[i % len(ECHO)].replace("{t}", text), (text,)),
        )[i // 2 % 2]
        sample = Sample((*history(i), user(question)))
        cases.append(Case("long context", sample, answers))
    return cases


@functools.cache
def cases() -> tuple[Case, ...]:
    """Return every case of the first examination, always in the same order."""
    return (
        *_explain(), *_small(), *_json(), *_tool_cases(), *repeat(ECHO, kept.ECHO_TEXTS),
        *replace(REPLACE, kept.REPLACE_CASES), *count(COUNT, kept.COUNT_CASES), *_follow_ups(),
        *_long(),
    )  # fmt: skip
