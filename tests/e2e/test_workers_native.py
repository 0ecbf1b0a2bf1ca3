"""Worker processes around the real engine."""

import time

import pytest
from support import artifacts
from support.gguf_files import write_tiny_gguf
from support.model_cases import BERT_RANKER, GPT2_SMALL, NARROW_HEADS
from support.waits import until
from support.workshop import Workshop, conversation, kill, pid_of, pids, read_some

from pyrunner.errors import (
    ContextLengthError,
    ContextRefusedError,
    InvalidParameterError,
    ModelLoadError,
    ModelTooLargeError,
    WorkerCrashedError,
)
from pyrunner.runtime.api import Runtime
from pyrunner.runtime.interpreter import module_command
from pyrunner.runtime.runner import EventStream
from pyrunner.types import (
    CompletionRequest,
    EmbeddingRequest,
    FinishEvent,
    FinishReason,
    Limits,
    ModelMode,
    RerankRequest,
    SamplingParams,
    TextEvent,
)

pytestmark = [pytest.mark.native, pytest.mark.model]

A, B = "docker.io/ai/a:latest", "docker.io/ai/b:latest"

LANE_FREE_S = 0.15
"""A client that goes away frees its lane within this."""


@pytest.fixture(scope="module")
def weights(request):
    return GPT2_SMALL.file(request.config.cache.mkdir("pyrunner-models")).read_bytes()


@pytest.fixture
def shop(home, weights):
    with Workshop(home, module_command("pyrunner.worker")) as made:
        for name in ("ai/a", "ai/b"):
            # A byte behind the last tensor makes it another model.
            artifacts.add(made.store, name, weights + name.encode())
        yield made


def _endless(
    prompt: str | tuple[int, ...] = "Docker is", max_tokens: int | None = None
) -> CompletionRequest:
    return CompletionRequest(
        prompt=prompt,
        sampling=SamplingParams(temperature=0),
        limits=Limits(max_tokens=max_tokens, ignore_eos=True),
    )


def _finish_of(stream: EventStream) -> tuple[str, FinishEvent]:
    *pieces, finish = list(stream)
    assert isinstance(finish, FinishEvent)
    return "".join(each.text for each in pieces if isinstance(each, TextEvent)), finish


def test_completion_equals_itself_and_counts_its_tokens(shop):
    runner = shop.runtime().ensure_ready("ai/a")
    with (
        runner.complete(_endless(max_tokens=20)) as one,
        runner.complete(_endless(max_tokens=20)) as two,
    ):
        first, second = _finish_of(one), _finish_of(two)
    assert first[0] == second[0]
    assert first[1].reason is FinishReason.LENGTH
    assert (first[1].usage.prompt_tokens, first[1].usage.completion_tokens) == (3, 20)


def test_chat_renders_and_answers(shop):
    runner = shop.runtime().ensure_ready("ai/a")
    with runner.chat(conversation("What is Docker?", 5)) as stream:
        _, finish = _finish_of(stream)
    assert finish.usage.prompt_tokens > 5
    assert finish.usage.completion_tokens <= 5


def test_embedding_of_unequal_inputs_gives_one_vector_each(shop):
    runner = shop.runtime().ensure_ready("ai/a", mode=ModelMode.EMBEDDING)
    result = runner.embed(EmbeddingRequest(inputs=("one", "two " * 300, (5, 6, 7))))
    assert [len(each) for each in result.vectors] == [4 * 128] * 3
    assert result.n_embd == runner.info.n_embd == 128


def test_a_reranking_model_ranks_and_makes_no_embeddings(shop, request):
    file = BERT_RANKER.file(request.config.cache.mkdir("pyrunner-models"))
    artifacts.add(shop.store, "ai/ranker", file.read_bytes())
    runtime = shop.runtime()
    runner = runtime.ensure_ready("ai/ranker", mode=ModelMode.RERANKING)
    documents = ("cats purr.", "a registry keeps images.", "", "cats purr.")
    result = runner.rerank(RerankRequest(query="where are images kept?", documents=documents))
    assert (len(result.scores), len(set(result.scores))) == (4, 3)
    assert result.scores[0] == result.scores[3]
    with pytest.raises(InvalidParameterError, match="'model' ranks documents"):
        runtime.ensure_ready("ai/ranker", mode=ModelMode.EMBEDDING)


def test_a_model_that_cannot_rank_is_not_loaded_for_it(shop):
    runtime = shop.runtime()
    with pytest.raises(InvalidParameterError, match="'model' cannot rank"):
        runtime.ensure_ready("ai/a", mode=ModelMode.RERANKING)
    assert runtime.running() == []


def test_kill_in_the_middle_of_a_stream_ends_that_stream_only(shop):
    runtime = shop.runtime()
    with (
        runtime.ensure_ready("ai/a").complete(_endless()) as dying,
        runtime.ensure_ready("ai/b").complete(_endless()) as living,
    ):
        read_some(dying)
        read_some(living)
        pid = pid_of(runtime, A)
        kill(pid)
        with pytest.raises(WorkerCrashedError) as caught:
            list(dying)
        for _ in range(20):
            read_some(living)
    assert caught.value.how == "SIGKILL"
    with runtime.ensure_ready("ai/a").complete(_endless(max_tokens=2)) as stream:
        assert _finish_of(stream)[1].usage.completion_tokens == 2
    assert pid not in pids(runtime)


def test_client_gone_in_a_long_prompt_frees_its_lane_at_once(shop):
    runtime = shop.runtime()
    # The machine may be busy with something else for a moment, hence the best of three.
    waited = [_time_to_free_lane(runtime, tuple(range(300, 4000))) for _ in range(3)]
    assert min(waited) < LANE_FREE_S, waited


def _time_to_free_lane(runtime: Runtime, prompt: tuple[int, ...]) -> float:
    stream = runtime.ensure_ready("ai/a").complete(_endless(prompt))
    until(lambda: runtime.running()[0].n_in_flight == 1)
    assert stream.poll(0.02) is None, "the prompt was meant to take longer"
    closed = time.monotonic()
    stream.close()
    until(lambda: runtime.running()[0].n_in_flight == 0)
    return time.monotonic() - closed


def test_bad_requests_fail_alone(shop):
    runner = shop.runtime().ensure_ready("ai/a")
    with runner.complete(_endless()) as good:
        read_some(good)
        with runner.complete(_endless((1,) * 5000)) as stream, pytest.raises(ContextLengthError):
            list(stream)
        with runner.complete(_endless((10**6,))) as stream, pytest.raises(InvalidParameterError):
            list(stream)
        with runner.complete(_endless(())) as stream, pytest.raises(InvalidParameterError):
            list(stream)
        read_some(good)


def test_model_that_llama_cpp_refuses_is_a_load_error(shop):
    path = write_tiny_gguf(shop.home / "tiny.gguf")
    artifacts.add(shop.store, "ai/tiny", path.read_bytes())
    runtime = shop.runtime()
    with pytest.raises(ModelLoadError):
        runtime.ensure_ready("ai/tiny")
    until(lambda: runtime.running() == [])


def test_types_of_cells_that_llama_cpp_refuses_are_said_with_its_words(shop, request):
    folder = request.config.cache.mkdir("pyrunner-models")
    artifacts.add(shop.store, "ai/narrow", NARROW_HEADS.file(folder).read_bytes())
    with pytest.raises(ContextRefusedError, match="K cache type q8_0 with block size 32"):
        shop.runtime(engine__cache_type_k="q8_0").ensure_ready("ai/narrow")


def test_quantised_cells_answer_and_are_counted_as_what_they_take(shop):
    (weights,) = shop.store.find("ai/a").weight_paths
    sizes = []
    for cache_type in ("f16", "q8_0"):
        types = {"engine__cache_type_k": cache_type, "engine__cache_type_v": cache_type}
        runtime = shop.runtime(**types)
        with runtime.ensure_ready("ai/a").complete(_endless(max_tokens=5)) as stream:
            assert _finish_of(stream)[1].usage.completion_tokens == 5
        (status,) = runtime.running()
        assert status.info is not None
        assert (status.info.n_lanes, status.info.n_ctx) == (4, 4096)
        assert status.size_bytes == weights.stat().st_size + 2 * status.info.kv_bytes
        sizes.append(status.size_bytes - weights.stat().st_size)
    assert sizes[1] * 64 == sizes[0] * 34


def test_model_that_does_not_fit_gets_fewer_lanes_before_it_is_refused(shop):
    (weights,) = shop.store.find("ai/a").weight_paths
    usual = shop.runtime()
    usual.ensure_ready("ai/a")
    (status,) = usual.running()
    assert status.info is not None
    budget = weights.stat().st_size + status.info.kv_bytes // 2
    usual.unload()
    tight = shop.runtime(runtime__memory_budget_bytes=budget)
    with tight.ensure_ready("ai/a").complete(_endless(max_tokens=5)) as stream:
        assert _finish_of(stream)[1].usage.completion_tokens == 5
    (status,) = tight.running()
    assert status.info is not None
    assert (status.info.n_lanes, status.info.n_ctx) == (2, 4096)
    assert status.size_bytes <= budget
    with pytest.raises(ModelTooLargeError):
        shop.runtime(
            runtime__memory_budget_bytes=budget, engine__n_lanes=4, engine__n_ctx=4096
        ).ensure_ready("ai/a")


def test_eight_streams_over_four_lanes_all_finish(shop):
    runner = shop.runtime().ensure_ready("ai/a")
    streams = [runner.complete(_endless(max_tokens=10)) for _ in range(8)]
    texts = {_finish_of(each)[0] for each in streams}
    for each in streams:
        each.close()
    assert len(texts) == 1
