"""What a server answers: predictions, and one plain line for every request that it cannot predict."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from live_server import LiveServer, MadeUpModel, serving

JSON = {"Content-Type": "application/json"}
TOKEN = "a-secret-of-some-length"


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with serving(MadeUpModel(), max_bytes=10_000, max_sentences=4, max_words=20, max_wait_ms=0) as running:
        yield running


def labels(document: dict[str, Any]) -> list[list[str]]:
    return [one["labels"]["upper"] for one in document["predictions"]]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"text": "a b"}, [["A", "B"]]),
        ({"texts": ["a b", "c"]}, [["A", "B"], ["C"]]),
        ({"words": ["a", "b"]}, [["A", "B"]]),
        ({"sentences": [["a"], ["b", "c"]]}, [["A"], ["B", "C"]]),
        ({"text": "ü 北京 🙂", "model": "upper"}, [["Ü", "北京", "🙂"]]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_each_input_has_its_prediction(server: LiveServer, body: dict[str, Any], expected: list[list[str]]) -> None:
    status, found, _ = server.predict(**body)
    assert (status, found["model"], labels(found)) == (200, "upper", expected)


REFUSED: dict[str, tuple[int, Any, str]] = {
    "no JSON": (400, "{", "request: is not JSON ("),
    "nothing": (400, "", "request: is not JSON ("),
    "no UTF-8": (400, b'{"text": "\xff"}', "request: is not JSON ("),
    "deep": (400, "[" * 9000, "request: is not JSON ("),
    "a list": (422, [], "request: expected an object {...}, found []"),
    "a misspelt key": (422, {"txet": "a"}, "request: txet: unknown key; did you mean 'text'?"),
    "another type": (422, {"text": 3}, "request: text: expected a text in quotes, found 3"),
    "a number among words": (422, {"words": ["a", 3]}, "request: words -> 1: expected a text in quotes, found 3"),
    "no input": (422, {}, "request: found none, expected one of text, texts, words, sentences"),
    "two inputs": (422, {"text": "a", "words": ["a"]}, "request: found text and words, expected one of text, "),
    "no words": (422, {"words": []}, "request: words: found nothing, expected at least one word"),
    "no sentences": (422, {"sentences": []}, "request: sentences: found nothing, expected at least one word"),
    "half a character": (400, '{"text": "\\ud800"}', "request: is not JSON ("),
    "top_k": (422, {"text": "a", "top_k": 0}, "request: top_k: expected a number of at least 1, found 0"),
    "another model": (404, {"text": "a", "model": "uper"}, "request: model: found 'uper', expected a name; did "),
    "too many sentences": (413, {"texts": ["a"] * 5}, "request: found 5 sentences, expected at most 4; "),
    "too many words": (413, {"text": "a " * 21}, "request: found 21 words, expected at most 20; "),
    "a long word": (413, {"text": "a" * 200}, "request: found 21 words, expected at most 20; "),
    "too many bytes": (413, {"text": "a" * 10_000}, "request: the body has more than 10000 bytes (--max_bytes); "),
    "an error of the model": (422, {"words": ["BAD"]}, "input: found BAD, expected another word"),
    "a bug": (500, {"words": ["BUG"]}, "server: a bug in machamp_lite, not in your request; "),
    "a panic": (422, {"words": ["PANIC"]}, "request: the tokenizer cannot read its input (PanicException: at the "),
}


@pytest.mark.parametrize(("status", "body", "start"), REFUSED.values(), ids=REFUSED)
def test_a_bad_request_is_answered_with_one_line(server: LiveServer, status: int, body: Any, start: str) -> None:
    found, document, _ = server.ask("POST", "/predict", body)
    assert (found, document["error"][: len(start)]) == (status, start)
    assert "\n" not in document["error"] and "secret" not in document["error"]
    assert server.predict(text="a")[0] == 200


def test_several_faults_are_reported_together(server: LiveServer) -> None:
    status, document, _ = server.predict(text=3, tasks="upos")
    assert status == 422
    assert [document["error"], *document["more"]] == [
        "request: text: expected a text in quotes, found 3",
        "request: tasks: expected a list, found 'upos'",
    ]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nothing", 404), ("GET", "/predict", 405), ("POST", "/models", 405)]
)
def test_other_paths_and_methods_are_refused(server: LiveServer, method: str, path: str, status: int) -> None:
    found, document, headers = server.ask(method, path)
    assert found == status and document["error"].endswith("; see /docs")
    assert ("allow" in headers) == (status == 405)


def test_an_unknown_parameter_is_refused(server: LiveServer) -> None:
    status, document, _ = server.ask("POST", "/predict/conllu?topm=3", "a")
    assert (status, document["error"]) == (422, "request: topm: unknown key; did you mean 'topn'?")


def test_the_models_and_the_health_are_shown(server: LiveServer) -> None:
    assert server.ask("GET", "/models")[1] == {"models": [MadeUpModel().describe()]}
    assert server.ask("GET", "/health")[:2] == (200, {"live": True, "ready": True})
    assert server.ask("GET", "/health/ready")[:2] == (200, {"live": True, "ready": True})
    assert server.ask("GET", "/health/live")[:2] == (200, {"live": True})


def test_requests_are_counted(server: LiveServer) -> None:
    names = {
        status: f'machamp_lite_requests_total{{path="{path}",status="{status}"}}'
        for path, status in (("/predict", 200), ("/predict", 422), ("other", 404))
    }
    before = {status: server.metric(name) for status, name in names.items()}
    sentences = server.metric('machamp_lite_sentences_total{model="upper"}')
    server.predict(texts=["a", "b"])
    server.predict(text=3)
    server.ask("GET", "/nothing")
    assert {status: server.metric(name) - before[status] for status, name in names.items()} == dict.fromkeys(names, 1)
    assert server.metric('machamp_lite_sentences_total{model="upper"}') == sentences + 2
    assert server.metric('machamp_lite_queue_sentences{model="upper"}') == 0
    assert server.metric("process_resident_memory_bytes") > 1e7


def test_the_description_names_every_path_key_and_status(server: LiveServer) -> None:
    status, document, _ = server.ask("GET", "/openapi.json")
    assert status == 200 and document["openapi"] == "3.1.0"
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            known = server.ask(method.upper(), path)[0]
            assert str(known) in one["responses"], path
    keys = document["components"]["schemas"]["PredictBody"]["properties"]
    assert {"text", "texts", "words", "sentences", "dataset", "tasks", "top_k", "model"} == keys.keys()
    assert {str(status) for status, *_ in REFUSED.values()} <= document["paths"]["/predict"]["post"]["responses"].keys()
    references = json.dumps(document).split('"$ref": "#/components/schemas/')[1:]
    assert {one.partition('"')[0] for one in references} <= document["components"]["schemas"].keys()


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_load_nothing_from_elsewhere(server: LiveServer, path: str) -> None:
    status, page, headers = server.ask("GET", path)
    assert status == 200 and page.startswith("<!doctype html>")
    assert "http://" not in page and "https://" not in page.replace("https://example.org", "")
    assert "default-src 'none'" in headers["content-security-policy"]


def test_a_prediction_as_html_has_no_markup_of_the_client(server: LiveServer) -> None:
    status, text, headers = server.ask("POST", "/predict", {"text": "<b>x</b>"}, {**JSON, "Accept": "text/html"})
    assert (status, text) == (200, '<article tabindex="0"><p>&lt;B&gt;X&lt;/B&gt;</p></article>')
    assert headers["content-type"].startswith("text/html")


def test_several_models_are_chosen_by_name() -> None:
    with serving(MadeUpModel("one"), MadeUpModel("two")) as server:
        assert server.predict(text="a", model="two")[1]["model"] == "two"
        status, document, _ = server.predict(text="a")
        assert (status, document["error"]) == (404, "request: model: found none, expected a name; known: one, two")
        assert [one["name"] for one in server.ask("GET", "/models")[1]["models"]] == ["one", "two"]


def test_with_a_token_only_requests_that_have_it_are_answered() -> None:
    with serving(MadeUpModel(), token=TOKEN) as server:
        for given in (None, "", TOKEN, f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer ü"):
            headers = {} if given is None else {"Authorization": given.encode("latin-1")}
            for path in ("/predict", "/predict/conllu", "/models", "/metrics"):
                method = "POST" if path.startswith("/predict") else "GET"
                status, document, found = server.ask(method, path, headers=headers)  # type: ignore[arg-type]
                assert (status, found["www-authenticate"]) == (401, "Bearer")
                assert "Authorization: Bearer TOKEN" in document["error"]
        right = {"Authorization": f"Bearer {TOKEN}"}
        assert server.ask("POST", "/predict", {"text": "a"}, right)[0] == 200
        assert server.ask("GET", "/metrics", headers=right)[0] == 200
        for path in ("/health", "/openapi.json", "/docs"):
            assert server.ask("GET", path)[0] == 200
        assert 'name="token"' in server.ask("GET", "/")[1]


def test_pages_of_other_sites_are_refused_unless_they_are_allowed() -> None:
    other, site = {"Origin": "https://example.org"}, {"Sec-Fetch-Site": "cross-site"}
    asked = {**other, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    with serving(MadeUpModel()) as server:
        status, document, headers = server.ask("POST", "/predict", {"text": "a"}, other | site)
        assert status == 403 and "https://example.org" in document["error"]
        assert server.ask("OPTIONS", "/predict", headers=asked)[0] == 405
        assert "access-control-allow-origin" not in headers
        assert server.ask("POST", "/predict", {"text": "a"}, {"Sec-Fetch-Site": "same-origin"})[0] == 200
    with serving(MadeUpModel(), origins=["https://example.org"]) as server:
        status, _, headers = server.ask("OPTIONS", "/predict", headers=asked)
        assert (status, headers["access-control-allow-origin"]) == (200, "https://example.org")
        status, _, headers = server.ask("POST", "/predict", {"text": "a"}, other | site)
        assert (status, headers["access-control-allow-origin"]) == (200, "https://example.org")
        assert server.ask("POST", "/predict", {"text": "a"}, {"Origin": "https://evil.org"} | site)[0] == 403
