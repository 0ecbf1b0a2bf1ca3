"""What the server relies on in a runtime: held against the scripted and the real one."""

import pytest
from support.workshop import conversation

from pyrunner.errors import ModelNotFoundError, RequestCancelledError
from pyrunner.server.ports import Models
from pyrunner.types import EmbeddingRequest, FinishEvent, ModelMode, TextEvent


class RuntimeContract:
    """Subclasses give the `runtime` fixture; it has the model ``ai/a``."""

    def test_stream_is_pieces_and_one_finish(self, runtime: Models):
        with runtime.ensure_ready("ai/a").chat(conversation("hello", 3)) as stream:
            events = list(stream)
            assert stream.is_finished
            assert stream.poll(0.0) is None
        assert [type(each) for each in events].count(FinishEvent) == 1
        assert isinstance(events[-1], FinishEvent)
        assert all(isinstance(each, TextEvent) for each in events[:-1])

    def test_poll_gives_the_same_as_iteration(self, runtime: Models):
        events = []
        with runtime.ensure_ready("ai/a").chat(conversation("hello", 3)) as stream:
            while not stream.is_finished:
                event = stream.poll(1.0)
                if event is not None:
                    events.append(event)
        assert isinstance(events[-1], FinishEvent)
        assert len(events) > 1

    def test_closed_stream_gives_nothing_and_can_be_closed_again(self, runtime: Models):
        stream = runtime.ensure_ready("ai/a").chat(conversation("hello"))
        while stream.poll(1.0) is None:
            assert not stream.is_finished
        stream.close()
        stream.close()
        assert stream.is_finished
        assert stream.poll(0.0) is None

    def test_unknown_model_is_an_error(self, runtime: Models):
        with pytest.raises(ModelNotFoundError):
            runtime.ensure_ready("ai/none")

    def test_embedding_gives_one_vector_per_input(self, runtime: Models):
        runner = runtime.ensure_ready("ai/a", mode=ModelMode.EMBEDDING)
        result = runner.embed(EmbeddingRequest(inputs=("a", "b")))
        assert [len(each) for each in result.vectors] == [4 * result.n_embd] * 2

    def test_waiting_that_is_cancelled_is_an_error(self, runtime: Models):
        with pytest.raises(RequestCancelledError):
            runtime.ensure_ready("ai/a", is_cancelled=lambda: True)

    def test_close_can_be_repeated(self, runtime: Models):
        runtime.close(0.0)
        runtime.close(0.0)
