"""Questions about the topics, and questions that the model cannot answer."""

import random

from demo_model import explain_phrases, phrasing, topics, unknown_phrases, words

UNKNOWN_ANSWERS = (
    (
        "I am sorry, I do not know that. I am a very small demo model and only know a few topics "
        "around Docker and models."
    ),
    (
        "Sorry, that is beyond what I know. I am only a small demo model for Docker, containers "
        "and model runners."
    ),
)

_OPENERS = (
    "Hi, ", "Hello, ", "Hey, ", "Please, ", "Quick question: ", "Question: ", "Okay, ", "So, ",
    "Hello! ", "Hi! ", "Excuse me, ", "Sorry, ", "One more thing: ", "Next question: ", "Now ",
    "I have a question. ", "For my homework: ", "Good morning. ", "Well, ", "Hi there, ", "Hey! ",
    "Good evening. ", "Help! ", "Tell me, ", "One question: ", "By the way, ", "Also, ", "And ",
    "I would like to ask: ", "May I ask: ", "A question for you: ", "Dear model, ", "Hello model, ",
    "Just asking, ", "I was wondering, ", "Another question: ", "Let me ask: ", "Right, ", "Hm, ",
    "Thanks. ", "Good. ", "I see. ", "Now something else. ", "Please answer: ", "Ok, ", "Yes, ",
)  # fmt: skip
_CLOSERS = (
    " Thanks.", " Thank you.", " Please.", " Thanks!", " I am curious.", " Go on.", "!", " Cheers.",
    " Thank you!", " Please tell me.", " I want to know.", " Please help.", " :)", " Many thanks.",
)  # fmt: skip


def decorate(rng: random.Random, question: str) -> str:
    """Vary a question the way people do: greetings, fillers, case, missing marks."""
    if rng.random() < 0.25:
        opener = rng.choice(_OPENERS)
        if rng.random() < 0.25:
            opener = (
                f"My {rng.choice((words.noun(rng), rng.choice(words.JOBS)))} "
                f"{words.invented_word(rng)} asks: "
            )
        question = phrasing.opened(opener, question, sentence_ends=".!:")
    if rng.random() < 0.1:
        question += rng.choice(_CLOSERS)
    if rng.random() < 0.08:
        question = question.lower()
    if rng.random() < 0.12:
        question = question.rstrip(".?!")
    return question


def with_style(rng: random.Random, question: str, style: str) -> str:
    """Ask for a style inside the question, after it or before it."""
    if style == "plain":
        return question
    pick = rng.random()
    if pick < 0.5:
        return f"{question[:-1]} {rng.choice(explain_phrases.STYLE_WORDS[style])}{question[-1]}"
    if pick < 0.6:
        phrase = rng.choice(explain_phrases.STYLE_WORDS[style])
        return f"{phrase[0].upper()}{phrase[1:]}: {phrasing.lower_start(question)}"
    if pick < 0.9:
        return f"{question} {rng.choice(explain_phrases.STYLE_SENTENCES[style])}"
    return f"{rng.choice(explain_phrases.STYLE_SENTENCES[style])} {question}"


def fill(rng: random.Random, question: str, topic: topics.Topic) -> str:
    """Put one of a topic's names into a question and make the first letter a capital."""
    text = question.format(a=rng.choice(topic.singular), p=rng.choice(topic.plural))
    return text[0].upper() + text[1:]


def topic_turn(rng: random.Random) -> tuple[str, str]:
    """Return a question about a topic and its answer."""
    topic = rng.choice(topics.TOPICS)
    style = rng.choice(("plain", "plain", "plain", "simple", "short", "example"))
    if style != "plain" and rng.random() < 0.4:
        question = fill(rng, rng.choice(explain_phrases.STYLE_QUESTIONS[style]), topic)
    else:
        question = with_style(
            rng, fill(rng, rng.choice(explain_phrases.PLAIN_QUESTIONS), topic), style
        )
    return decorate(rng, question), rng.choice(topic.answers(style))


def topic_by_key(key: str) -> topics.Topic:
    """Look a topic up."""
    return next(topic for topic in topics.TOPICS if topic.key == key)


def comparison_turn(rng: random.Random) -> tuple[str, str]:
    """Return a question about two topics and the answer."""
    pair, answer = rng.choice(tuple(topics.COMPARISONS.items()))
    first, second = (topic_by_key(key) for key in rng.sample(pair, 2))
    names = ("singular", "plural")[rng.random() < 0.3]
    question = rng.choice(explain_phrases.COMPARISON_QUESTIONS).format(
        a=rng.choice(getattr(first, names)), b=rng.choice(getattr(second, names))
    )
    return decorate(rng, question[0].upper() + question[1:]), answer


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _subject(rng: random.Random) -> tuple[str, str]:
    """Return a subject the model knows nothing about: with article, and in general."""
    if rng.random() < 0.3:
        name = rng.choice(unknown_phrases.UNKNOWN_SUBJECTS)
        return name, name
    if rng.random() < 0.25:
        frame = rng.choice(unknown_phrases.INVENTED_SUBJECTS)
        name = words.invented_word(rng).capitalize()
        name = frame.replace("{N}", name).replace("{n}", words.noun(rng))
        return name, name
    noun = words.noun(rng)
    if rng.random() < 0.2:
        noun = f"{rng.choice(words.ADJECTIVES)} {noun}"
    if rng.random() < 0.1:
        return noun.capitalize(), noun.capitalize()
    return _article(noun), f"{noun}s"


def unknown_turn(rng: random.Random) -> tuple[str, str]:
    """Return a question outside the topics and a polite refusal."""
    singular, plural = _subject(rng)
    if rng.random() < 0.55:
        style = rng.choice(("plain", "plain", "plain", "simple", "short", "example"))
        if style != "plain" and rng.random() < 0.4:
            question = rng.choice(explain_phrases.STYLE_QUESTIONS[style])
        else:
            question = with_style(rng, rng.choice(explain_phrases.PLAIN_QUESTIONS), style)
        question = phrasing.upper_start(question.format(a=singular, p=plural))
    else:
        question = rng.choice(unknown_phrases.UNKNOWN_QUESTIONS).format(
            x=rng.choice((singular, plural)),
            y=words.person(rng),
            c=words.city(rng),
        )
        question = phrasing.upper_start(question)
    return decorate(rng, question), rng.choice(UNKNOWN_ANSWERS)
