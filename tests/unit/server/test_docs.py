"""docs/api.md says what the schema says."""

import json
import re
from itertools import chain

import pytest
from support.tree import ROOT

from pyrunner.server.app import create_app
from pyrunner.server.errors import TABLE
from pyrunner.server.openai import schema, unsupported

PAGE = (ROOT / "docs" / "api.md").read_text()

COMMON = schema.Body.__struct_fields__
GENERATION = schema.GenerationBody.__struct_fields__


def _section(title: str) -> str:
    found = re.search(rf"^###? {re.escape(title)}\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


def _names(title: str) -> set[str]:
    cells = re.findall(r"^\| (`[^|]*) \|", _section(title), re.MULTILINE)
    return set(chain.from_iterable(re.findall(r"`([^`]+)`", cell) for cell in cells))


@pytest.mark.parametrize(
    ("title", "fields"),
    [
        ("All three routes", set(COMMON)),
        ("Chat completions and completions", set(GENERATION) - set(COMMON)),
        ("Chat completions", set(schema.ChatBody.__struct_fields__) - set(GENERATION)),
        ("Completions", set(schema.CompletionBody.__struct_fields__) - set(GENERATION)),
        ("Embeddings", set(schema.EmbeddingBody.__struct_fields__) - set(COMMON)),
        ("Reranking", set(schema.RerankBody.__struct_fields__) - set(COMMON)),
    ],
)
def test_page_lists_exactly_the_parameters_of_the_schema(title, fields):
    assert _names(title) == fields


@pytest.mark.parametrize(
    ("title", "table"),
    [
        ("Chat completions and completions, refused", unsupported.GENERATION),
        ("Chat completions, refused", unsupported.CHAT),
        ("Completions, refused", unsupported.COMPLETION),
        ("Embeddings, refused", unsupported.EMBEDDING),
        ("Reranking, refused", unsupported.RERANK),
    ],
)
def test_page_lists_exactly_what_is_refused_and_why(title, table):
    is_whole = table in (unsupported.GENERATION, unsupported.EMBEDDING, unsupported.RERANK)
    shared = {} if is_whole else unsupported.GENERATION
    rows = [_row(name, row) for name, row in table.items() if name not in shared]
    assert [line for line in _section(title).splitlines() if line.startswith("| `")] == rows


def _row(name: str, row: unsupported.Unsupported) -> str:
    harmless = ", ".join(f"`{json.dumps(value)}`" for value in row.harmless) or "none"
    return f"| `{name}` | {harmless} | {row.hint} |"


def test_no_parameter_is_both_supported_and_refused():
    for body, table in (
        (schema.ChatBody, unsupported.CHAT),
        (schema.CompletionBody, unsupported.COMPLETION),
        (schema.EmbeddingBody, unsupported.EMBEDDING),
        (schema.RerankBody, unsupported.RERANK),
    ):
        assert not set(body.__struct_fields__) & set(table)


def test_page_lists_every_status_of_the_table():
    listed = {int(code) for code in re.findall(r"^\| (\d{3}) \|", _section("Errors"), re.MULTILINE)}
    assert listed == {row.status for row in TABLE.values()} | {403}


def test_every_route_of_the_page_is_answered(api):
    routes = re.findall(r"`(GET|POST|DELETE) (/[^`?]*)", _section("Routes"))
    assert len(routes) == 25
    for method, path in routes:
        resource = create_app(api.application.dependencies)._router.find(path)
        assert resource is not None, path
        assert method in resource[1], path
