"""The interactive chat: a line editor around a conversation."""

import os
from collections.abc import Callable
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from pyrunner import config
from pyrunner.cli import render
from pyrunner.cli.answer import Message, Speaker, Told
from pyrunner.errors import PyrunnerError

HISTORY_MAX_BYTES = 256 * 1024
"""A history file above this size loses its older half."""
QUOTES = '"""'
_HELP = """\
/set system TEXT  Set the system message; without TEXT clear it.
/clear            Forget the conversation.
/help, /?         Show this.
/bye, /exit       Leave; so does Ctrl-D.

Write \"\"\" before and after text of several lines. Ctrl-C stops an answer.
"""


class Chat:
    """A conversation on this terminal. The main thread owns it."""

    def __init__(self, speaker: Speaker, history: Path, *, system: str = "") -> None:
        self._speaker = speaker
        self._messages: list[Message] = []
        self._system = system
        self._editor: PromptSession[str] = PromptSession(history=open_history(history))
        self._commands: dict[str, Callable[[str], None]] = {
            "/?": self._help,
            "/clear": self._clear,
            "/help": self._help,
            "/set": self._set,
        }

    def run(self) -> None:
        """Read and answer until ``/bye`` or Ctrl-D. An error is shown and the chat goes on."""
        while True:
            try:
                text = self._read().strip()
            except KeyboardInterrupt:
                print("Use Ctrl + d or /bye to exit.")
                continue
            except EOFError:
                return
            if text in ("/bye", "/exit"):
                return
            if text.startswith("/"):
                name, _, rest = text.partition(" ")
                self._commands.get(name, self._unknown(name))(rest.strip())
            elif text:
                self._ask(text)

    def _read(self) -> str:
        text = self._editor.prompt("> ", placeholder="Send a message (/? for help)")
        if not text.startswith(QUOTES):
            return text
        text = text.removeprefix(QUOTES)
        while not text.rstrip().endswith(QUOTES):
            # The editor keeps the placeholder of the last prompt otherwise.
            text += "\n" + self._editor.prompt(". ", placeholder="")
        return text.rstrip().removesuffix(QUOTES)

    def _ask(self, text: str) -> None:
        self._messages.append({"role": "user", "content": text})
        system = [{"role": "system", "content": self._system}] if self._system else []
        told = Told()
        try:
            self._speaker.answer([*system, *self._messages], told)
        except KeyboardInterrupt:
            pass
        except PyrunnerError as error:
            render.show(f"{error.sentence}\n")
        # A question without any answer would make the template refuse the next one.
        if told.text:
            self._messages.append({"role": "assistant", "content": told.text})
        else:
            self._messages.pop()

    def _help(self, _: str) -> None:
        print(_HELP)

    def _clear(self, _: str) -> None:
        self._messages.clear()
        print("Cleared the conversation.")

    def _set(self, rest: str) -> None:
        what, _, text = rest.partition(" ")
        if what != "system":
            print("Write: /set system TEXT")
            return
        self._system = text.strip().strip('"')
        print("Set system message." if self._system else "Cleared system message.")

    def _unknown(self, name: str) -> Callable[[str], None]:
        return lambda _: print(f"Unknown command '{name}'. Type /? for help")


def open_history(path: Path) -> History:
    """What was written before: the file at `path`, made for this user only and kept short.

    A home that cannot be written costs the history and nothing else.
    """
    if config.environment_value("DOCKER_MODEL_NOHISTORY"):
        return InMemoryHistory()
    try:
        _prepare(path)
    except OSError:
        return InMemoryHistory()
    return FileHistory(path)


def _prepare(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    content = path.read_bytes()
    if len(content) > HISTORY_MAX_BYTES:
        _, mark, newer = content[len(content) // 2 :].partition(b"\n#")
        path.write_bytes(mark + newer)
