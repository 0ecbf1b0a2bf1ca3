import pytest

from pyrunner import config
from pyrunner.cli import address
from pyrunner.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost:9000", "http://localhost:9000"),
        ("http://10.0.0.5:12434/", "http://10.0.0.5:12434"),
        ("http://example.com", "http://example.com"),
        ("https://example.com", "https://example.com"),
        ("https://example.com:8443/a/b/", "https://example.com:8443/a/b"),
        ("http://localhost/exp/vDD4.40", "http://localhost/exp/vDD4.40"),
        ("[::1]:12434", "http://[::1]:12434"),
    ],
)
def test_parse_host_gives_its_base_url(text, url):
    assert address.parse(text).url == url


def test_parse_unix_names_the_socket():
    assert address.parse("unix:///run/x.sock").socket_path == "/run/x.sock"


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "http://", "ftp://host", "http://host:port", "http://host:99999"),
        *("http://[::1", "unix://", "a b", "http://a\x01b", "\udcff"),
    ],
)
def test_parse_nonsense_is_a_config_error_that_names_the_variable(text):
    with pytest.raises(ConfigError) as caught:
        address.parse(text)
    assert "MODEL_RUNNER_HOST" in caught.value.sentence


def test_parse_path_with_line_break_cannot_forge_a_header():
    assert "\n" not in address.parse("http://host/a\r\nX: y").prefix


def test_usual_places_are_the_socket_then_the_port(tmp_path):
    settings = config.load(environment={"PYRUNNER_HOME": str(tmp_path)})
    shown = [str(each) for each in address.usual(settings)]
    assert shown == [f"unix://{tmp_path}/run/pyrunner.sock", "http://127.0.0.1:12434"]


def test_usual_places_without_a_port_are_the_socket(tmp_path):
    settings = config.load({"server.port": 0}, {"PYRUNNER_HOME": str(tmp_path)})
    assert len(address.usual(settings)) == 1


def test_tcp_of_a_listener_on_all_interfaces_is_loopback(tmp_path):
    settings = config.load({"server.host": "0.0.0.0"}, {"PYRUNNER_HOME": str(tmp_path)})
    assert address.tcp(settings).url == "http://127.0.0.1:12434"
