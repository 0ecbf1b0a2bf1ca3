import pytest

from pyrunner.errors import RegistryProtocolError
from pyrunner.registry.challenge import Challenge, parse_challenge
from pyrunner.registry.hosts import base_url, check_realm, is_same_origin, redirect_target


@pytest.mark.parametrize(
    ("registry", "expected"),
    [
        ("docker.io", "https://registry-1.docker.io"),
        ("reg.example:5000", "https://reg.example:5000"),
        ("localhost", "http://localhost"),
        ("localhost:5000", "http://localhost:5000"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("127.9.9.9", "http://127.9.9.9"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("10.0.0.1:5000", "https://10.0.0.1:5000"),
        ("localhost.evil.example", "https://localhost.evil.example"),
        ("127.0.0.1.evil.example", "https://127.0.0.1.evil.example"),
        ("plain.example:5000", "http://plain.example:5000"),
        ("plain.example", "https://plain.example"),
        ("bare.example:1", "http://bare.example:1"),
    ],
)
def test_plain_http_is_for_loopback_and_configured_hosts(registry, expected):
    assert base_url(registry, ("plain.example:5000", "bare.example")) == expected


@pytest.mark.parametrize(
    ("realm", "registry"),
    [
        ("https://auth.docker.io/token", "docker.io"),
        ("https://reg.example/token", "reg.example"),
        ("https://10.0.0.5/token", "10.0.0.5:5000"),
        ("http://127.0.0.1:5001/token", "127.0.0.1:5000"),
        ("https://auth.example/token", "localhost:5000"),
        ("http://plain.example:5001/token", "plain.example:5000"),
    ],
)
def test_realm_that_a_registry_may_name_is_accepted(realm, registry):
    check_realm(realm, registry=registry, insecure=("plain.example",))


@pytest.mark.parametrize(
    ("realm", "registry"),
    [
        ("http://auth.example/token", "reg.example"),
        ("http://auth.example/token", "localhost:5000"),
        ("http://169.254.169.254/latest", "localhost:5000"),
        ("https://169.254.169.254/latest", "reg.example"),
        ("https://10.0.0.1/", "reg.example"),
        ("https://[::1]/", "reg.example"),
        ("https://[fe80::1]/", "reg.example"),
        ("https://localhost/", "reg.example"),
        ("https://host.docker.internal/", "reg.example"),
        ("file:///etc/passwd", "localhost:5000"),
        ("https://me@auth.example/", "reg.example"),
        ("https://127.1/", "reg.example"),
        ("https://2130706433/", "reg.example"),
        ("https://0x7f000001/", "reg.example"),
        ("https://[::ffff:127.0.0.1]/", "reg.example"),
        ("https://169.254.169.254./", "reg.example"),
        ("https://localhost./", "reg.example"),
        ("https://ip6-localhost/", "reg.example"),
        ("", "reg.example"),
        ("//auth.example/token", "reg.example"),
    ],
)
def test_realm_that_would_leak_or_reach_inside_is_refused(realm, registry):
    with pytest.raises(RegistryProtocolError):
        check_realm(realm, registry=registry, insecure=())


def test_redirect_that_drops_tls_is_refused():
    with pytest.raises(RegistryProtocolError):
        redirect_target("https://a.example/", "http://a.example/", registry="a.example")
    with pytest.raises(RegistryProtocolError):
        redirect_target("http://a.example/", "file:///etc/passwd", registry="a.example")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "169.254.169.254", "localhost", "[::1]"])
def test_redirect_of_a_host_out_there_to_this_machine_is_refused(host):
    with pytest.raises(RegistryProtocolError, match="a redirect to"):
        redirect_target("https://a.example/", f"https://{host}/x", registry="a.example")
    assert redirect_target("http://127.0.0.1:5000/", f"http://{host}/x", registry="a.example")


def test_redirect_leads_where_the_registry_says():
    target = redirect_target("https://a.example/v2/x", "../b?c", registry="a.example")
    assert target == "https://a.example/b?c"


NO_ADDRESS = [
    "https://[x",
    "https://[12]/",
    "https://a:99999/",
    "https://a:b/",
    "https://a\u2100b/",
    "https://evil.example\\@a.example/",
    "https://a.example\\.evil.example/",
    "https://me@a.example/",
    "https://a.example%2eb/",
]


@pytest.mark.parametrize("address", NO_ADDRESS)
def test_address_that_is_none_is_refused_as_a_redirect_and_as_a_realm(address):
    with pytest.raises(RegistryProtocolError, match="no address"):
        redirect_target("https://a.example/", address, registry="a.example")
    with pytest.raises(RegistryProtocolError, match="no http or https"):
        check_realm(address, registry="a.example", insecure=())


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("https://a.example/x", "https://a.example:443/y", True),
        ("https://a.example", "https://b.example", False),
        ("http://a.example", "https://a.example", False),
        ("http://a.example:1", "http://a.example:2", False),
        ("https://a.example", "https://a.example@b.example", False),
        ("https://a.example", "https://evil.example\\@a.example", False),
    ],
)
def test_origin_is_scheme_host_and_port(first, second, expected):
    assert is_same_origin(first, second) is expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Bearer realm="https://a/t",service="s"', Challenge(True, "https://a/t", "s")),
        (
            'bearer service="s", realm="https://a/t?x=1,2"',
            Challenge(True, "https://a/t?x=1,2", "s"),
        ),
        ('Basic realm="x"', Challenge(False, "x", "")),
        ("Basic", Challenge(False)),
        ('Basic realm="x", Bearer realm="https://a/t"', Challenge(True, "https://a/t", "")),
        ("Bearer", None),
        ('Bearer service="s"', None),
        ("Negotiate", None),
        ("", None),
        ("Bearer " + 'realm="x",' * 1000, None),
    ],
    ids=range(10),
)
def test_challenge_of_every_form(header, expected):
    assert parse_challenge(header) == expected
