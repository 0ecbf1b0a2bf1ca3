"""Questions about the topics, and questions that the model cannot answer."""

import random

from demo_model import topics, words

# {a} is "a container", {p} is "containers".
PLAIN_QUESTIONS = (
    "What is {a}?", "What's {a}?", "What are {p}?", "Explain {a}.", "Explain what {a} is.",
    "Tell me about {p}.", "Describe {a}.", "Define {a}.", "Can you explain {a}?",
    "Could you tell me what {a} is?", "I want to learn about {p}.", "Do you know what {a} is?",
    "How would you describe {a}?", "What does the term {a} mean?", "What do people mean by {a}?",
    "Give me an overview of {p}.", "I have never heard of {p}. What is it?",
    "Help me understand {p}.", "{p}?", "Explain {p} to me.", "What do you know about {p}?",
    "I do not understand {p}.", "Tell me what {a} is.", "Please describe {p}.",
    "Say something about {p}.", "What is the meaning of {a}?", "How do you explain {a}?",
    "Let us talk about {p}.", "My question is about {p}.", "Who can tell me what {a} is?",
    "I need to know what {a} is.", "What is {a} good for?", "Why would I use {a}?",
    "What is the point of {a}?", "What is the idea behind {p}?", "I am curious about {p}.",
    "I read about {p} today. What is that?", "Is {a} something I should know?",
    "Show me that you know what {a} is.", "What can you tell me about {p}?",
    "Write a few sentences about {p}.", "Write about {p}.", "Introduce {a}.", "About {p}, please.",
)  # fmt: skip

STYLE_WORDS = {
    "simple": (
        "in simple terms", "in simple words", "simply", "for a beginner", "for beginners",
        "in plain words", "in easy words", "like I am five", "as if I were five", "for a child",
        "in a simple way", "so that a child understands it", "without difficult words",
        "in plain English", "in an easy way", "to a beginner", "to a child",
    ),
    "short": (
        "in one sentence", "in a single sentence", "briefly", "in short", "in a nutshell",
        "in a few words", "as short as possible", "very briefly", "with one sentence",
        "in just one sentence", "in one short sentence",
    ),
    "example": (
        "with an example", "and give an example", "using an example", "by example",
        "with a short example", "and give me an example", "with one example",
        "with the help of an example", "and show an example",
    ),
}  # fmt: skip

STYLE_SENTENCES = {
    "simple": (
        "Keep it simple.", "Make it simple.", "I am a beginner.", "Use simple words.",
        "Please use simple terms.", "Explain it like I am five.", "I am new to this.",
        "Use easy words.",
    ),
    "short": (
        "Keep it short.", "One sentence, please.", "Be brief.", "Use one sentence.",
        "Answer in one sentence.", "Please be brief.", "Only one sentence.", "A short answer.",
        "Make it short.",
    ),
    "example": (
        "Give an example.", "Please give an example.", "Use an example.", "Show an example.",
        "An example would help.", "Include an example.", "Give me an example too.",
    ),
}  # fmt: skip

COMPARISON_QUESTIONS = (
    "What is the difference between {a} and {b}?", "How does {a} differ from {b}?",
    "Compare {a} and {b}.", "{a} or {b}, what is the difference?",
    "Is {a} the same as {b}?", "What distinguishes {a} from {b}?",
    "Explain the difference between {a} and {b}.", "Are {a} and {b} the same?",
)  # fmt: skip

UNKNOWN_SUBJECTS = (
    "Kubernetes", "a volume", "Docker volumes", "a Docker network", "Docker Compose", "a database",
    "Linux", "Windows", "Python", "Java", "a compiler", "a virtual machine", "a web server",
    "an operating system", "the internet", "a browser", "a network", "a pod", "a cluster",
    "photosynthesis", "gravity", "democracy", "chess", "football", "music", "history",
    "mathematics", "the moon", "the weather on Mars", "love", "money", "the stock market",
    "a neural network", "quantum physics", "a black hole", "Shakespeare", "Einstein", "Napoleon",
)  # fmt: skip

UNKNOWN_QUESTIONS = (
    "Who invented {x}?", "How do I cook {x}?", "Translate {x} into French.",
    "Write a poem about {x}.", "Write a story about {x}.", "Tell me a joke about {x}.",
    "How much does {x} cost?", "Where can I buy {x}?", "When was {x} invented?",
    "How many people own {x}?", "Why is {x} so popular?", "Who is {y}?", "Where is {c}?",
    "How many people live in {c}?", "What is the capital of {c}?", "Who wrote the book about {x}?",
    "Can you draw {x}?", "Which {x} is the best?", "Recommend {x} to me.", "Do you like {x}?",
    "Is {x} dangerous?", "How do I repair {x}?", "What should I eat in {c}?", "Plan a trip to {c}.",
    "Write a program that sorts {x}.", "Who won the match in {c}?", "Tell me the news from {c}.",
    "How old is {y}?", "How tall is {y}?", "What is the history of {c}?", "Sing a song about {x}.",
    "How does {x} work?", "What colour is {x}?", "What is {y} famous for?", "Summarise {x}.",
)  # fmt: skip

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
    "Hi, ", "Hello, ", "Hey, ", "Please ", "Quick question: ", "Question: ", "Okay, ", "So, ",
    "Hello! ", "Hi! ", "Excuse me, ", "Sorry, ", "One more thing: ", "Next question: ", "Now ",
    "I am new here. ", "I have a question. ", "For my homework: ", "Good morning. ", "Well, ",
)  # fmt: skip
_CLOSERS = (" Thanks.", " Thank you.", " Please.", " Thanks!", " I am curious.", " Go on.", "!")


def decorate(rng: random.Random, question: str) -> str:
    """Vary a question the way people do: greetings, fillers, case, missing marks."""
    if rng.random() < 0.25:
        opener = rng.choice(_OPENERS)
        if rng.random() < 0.25:
            opener = (
                f"My {rng.choice((words.noun(rng), rng.choice(words.JOBS)))} "
                f"{words.invented_word(rng)} asks: "
            )
        keeps_case = opener.rstrip()[-1] in ".!:"
        question = opener + (question if keeps_case else question[0].lower() + question[1:])
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
        return f"{question[:-1]} {rng.choice(STYLE_WORDS[style])}{question[-1]}"
    if pick < 0.6:
        phrase = rng.choice(STYLE_WORDS[style])
        return f"{phrase[0].upper()}{phrase[1:]}: {question[0].lower()}{question[1:]}"
    if pick < 0.9:
        return f"{question} {rng.choice(STYLE_SENTENCES[style])}"
    return f"{rng.choice(STYLE_SENTENCES[style])} {question}"


def fill(rng: random.Random, question: str, topic: topics.Topic) -> str:
    """Put one of a topic's names into a question and make the first letter a capital."""
    text = question.format(a=rng.choice(topic.singular), p=rng.choice(topic.plural))
    return text[0].upper() + text[1:]


def topic_turn(rng: random.Random) -> tuple[str, str]:
    """Return a question about a topic and its answer."""
    topic = rng.choice(topics.TOPICS)
    style = rng.choice(("plain", "plain", "plain", "simple", "short", "example"))
    question = with_style(rng, fill(rng, rng.choice(PLAIN_QUESTIONS), topic), style)
    return decorate(rng, question), rng.choice(topic.answers(style))


def topic_by_key(key: str) -> topics.Topic:
    """Look a topic up."""
    return next(topic for topic in topics.TOPICS if topic.key == key)


def comparison_turn(rng: random.Random) -> tuple[str, str]:
    """Return a question about two topics and the answer."""
    pair, answer = rng.choice(tuple(topics.COMPARISONS.items()))
    first, second = (topic_by_key(key) for key in rng.sample(pair, 2))
    names = ("singular", "plural")[rng.random() < 0.3]
    question = rng.choice(COMPARISON_QUESTIONS).format(
        a=rng.choice(getattr(first, names)), b=rng.choice(getattr(second, names))
    )
    return decorate(rng, question[0].upper() + question[1:]), answer


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _subject(rng: random.Random) -> tuple[str, str]:
    """Return a subject the model knows nothing about: with article, and in general."""
    if rng.random() < 0.3:
        name = rng.choice(UNKNOWN_SUBJECTS)
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
        question = rng.choice(PLAIN_QUESTIONS).format(a=singular, p=plural)
        question = question[0].upper() + question[1:]
        question = with_style(rng, question, rng.choice(topics.STYLES))
    else:
        question = rng.choice(UNKNOWN_QUESTIONS).format(
            x=rng.choice((singular, plural)), y=words.person(rng), c=words.city(rng)
        )
    return decorate(rng, question), rng.choice(UNKNOWN_ANSWERS)
