"""A server process without HTTP: a runtime that does what its standard input says.

``python runtime_process.py HOME [--gate FILE]``; a line in, a JSON line out::

    listen           binds the server's socket
    spare            keeps a worker process for the next model; answers with its pid
    ready MODEL      the pid of its worker, once it is ready
    stream MODEL     starts a stream that never ends; answers when the first text has come
    close            closes the runtime and ends
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from pyrunner.errors import PyrunnerError
from pyrunner.runtime.api import Runtime
from pyrunner.server.sockets import open_unix
from support.workshop import Workshop, conversation, pid_of, read_some, scripted_command


def main() -> None:
    home, *options = sys.argv[1:]
    shop = Workshop(Path(home), scripted_command(*options))
    runtime = shop.runtime()
    runtime.adopt()
    streams = []
    sockets = []
    for line in sys.stdin:
        verb, _, model = line.strip().partition(" ")
        if verb == "close":
            runtime.close(0.0)
            return
        if verb == "spare":
            runtime.keep_spare()
            _answer({"pid": runtime._spare.pid})
            continue
        if verb == "listen":
            sockets.append(open_unix(shop.settings()))
            continue
        try:
            runner = runtime.ensure_ready(model)
            if verb == "stream":
                streams.append(runner.chat(conversation("x")))
                read_some(streams[-1])
            answer = _pid(runtime, runner.reference)
        except PyrunnerError as error:
            answer = {"error": error.code}
        _answer(answer)


def _answer(answer: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _pid(runtime: Runtime, reference: str) -> dict[str, object]:
    return {"pid": pid_of(runtime, reference)}


if __name__ == "__main__":
    main()
