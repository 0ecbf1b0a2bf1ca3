"""HTTP to registries: the only file that knows `requests`, and where its errors are translated.

Slow to import. Any thread; a response belongs to the thread that asked.
"""

import contextlib
import random
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

import requests
import requests.adapters
import urllib3

from pyrunner.config import RegistryConfig
from pyrunner.errors import (
    ConfigError,
    RegistryError,
    RegistryProtocolError,
    RegistryUnavailableError,
)
from pyrunner.registry.heads import limit_heads
from pyrunner.registry.hosts import is_plain_http, is_same_origin, redirect_target
from pyrunner.registry.proxies import proxy_fault
from pyrunner.registry.refusal import explanation, retry_after_s
from pyrunner.registry.tls import added_trust

MAX_REDIRECTS = 10
MAX_DELAY_S = 60.0
"""Longest wait before another attempt; a registry that asks for more is given up."""
CHUNK_BYTES = 256 * 1024
_RETRYABLE = frozenset({408, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_ERROR_BYTES = 64 * 1024
_MAX_HEAD_SILENCES = 2
"""Times `RegistryConfig.timeout_s` that status and headers of one answer may take."""
_FIRST_DELAY_S = 0.5
_CONNECT_TIMEOUT_S = 15.0
_BAD_ADDRESSES = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    urllib3.exceptions.LocationValueError,
    UnicodeError,
)
"""What the HTTP library raises for an address, the registry's or the proxy's, that is none."""
_AUTHORIZATION = "Authorization"
_USER_AGENT = "pyrunner"

Wait = Callable[[threading.Event, float], None]


class Body(Protocol):
    """What a request carries: a file-like object of known length."""

    def __len__(self) -> int:
        """Bytes."""

    def read(self, n_bytes: int = -1) -> bytes:
        """The next bytes."""


class BytesBody:
    """A request body from memory."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._i = 0

    def __len__(self) -> int:
        """Bytes."""
        return len(self._content)

    def read(self, n_bytes: int = -1) -> bytes:
        """The next bytes."""
        end = len(self._content) if n_bytes < 0 else self._i + n_bytes
        chunk = self._content[self._i : end]
        self._i += len(chunk)
        return chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, which may be sent several times."""

    method: str
    url: str
    registry: str
    """Whom errors name."""
    headers: Mapping[str, str] = field(default_factory=dict)
    make_body: Callable[[], Body] | None = None
    """Called anew for each time it is sent."""
    is_repeatable: bool = True
    """Whether sending it twice does no harm."""


class Response:
    """An answer whose body has not been read. Close it, or use `with`."""

    def __init__(self, response: requests.Response, registry: str, config: RegistryConfig) -> None:
        self.status = response.status_code
        self.url = response.url or ""
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._registry = registry
        self._config = config

    def chunks(self) -> Iterator[bytes]:
        """The body in pieces of at most 256 KiB, as they come, not decoded.

        Raises:
            RegistryUnavailableError: The connection broke, stayed silent for too long, or is
                slower than the settings allow.
        """
        window_s = self._config.timeout_s
        began_at, n_bytes = time.monotonic(), 0
        for chunk in self._pieces():
            yield chunk
            n_bytes += len(chunk)
            now = time.monotonic()
            if now - began_at >= window_s:
                if n_bytes < self._config.min_rate_bytes * window_s:
                    problem = f"it sends less than {self._config.min_rate_bytes} bytes/s"
                    raise RegistryUnavailableError(registry=self._registry, problem=problem)
                began_at, n_bytes = now, 0

    def abort(self) -> None:
        """Make a read that waits in another thread fail now. Any thread."""
        with contextlib.suppress(ValueError, RuntimeError, OSError):
            self._response.raw.shutdown()

    def read(self, max_bytes: int) -> bytes:
        """The whole body.

        Raises:
            RegistryProtocolError: It is longer than `max_bytes`; reading stopped there.
            RegistryUnavailableError: The connection broke.
        """
        content = bytearray()
        for chunk in self.chunks():
            content += chunk
            if len(content) > max_bytes:
                self.close()
                raise RegistryProtocolError(
                    registry=self._registry,
                    problem=f"an answer of more than {max_bytes} bytes where a short one belongs",
                )
        return bytes(content)

    def _pieces(self) -> Iterator[bytes]:
        try:
            while chunk := self._response.raw.read1(CHUNK_BYTES, decode_content=False):
                yield chunk
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _unavailable(self._registry, error) from error

    def close(self) -> None:
        """Give the connection back, or close it when the body was not read."""
        self._response.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _wait(cancelled: threading.Event, delay_s: float) -> None:
    cancelled.wait(delay_s)


class Transport:
    """Sends requests: time limits, redirects, and another attempt where one makes sense.

    Args:
        config: Time limit, number of attempts, hosts without TLS, whom to trust.
        wait: How to wait between attempts; tests record instead.

    Raises:
        ConfigError: A bundle of certificates cannot be read.
    """

    def __init__(self, config: RegistryConfig, wait: Wait = _wait) -> None:
        self._config = config
        self._wait = wait
        self._jitter = random.Random()  # noqa: S311 - spreads retries, keeps no secret
        self._session = _Session()
        trust = added_trust(config)
        n_connections = config.n_parallel_layers * config.n_ranges + 2
        for scheme in ("http://", "https://"):
            limit_s = _MAX_HEAD_SILENCES * config.timeout_s
            adapter = _Adapter(trust, pool_maxsize=n_connections, limit_s=limit_s)
            self._session.mount(scheme, adapter)
        self._session.headers.clear()
        self._session.headers["User-Agent"] = _USER_AGENT
        # Digests are of the bytes as stored; a compressed transfer would only get in the way.
        self._session.headers["Accept-Encoding"] = "identity"
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.auth = _keep_as_it_is  # or requests would look into ~/.netrc

    def send(self, request: Request, cancelled: threading.Event) -> Response:
        """Send until an answer comes that is worth looking at.

        Answers of 408, 429 and 5xx, and failed connections, are tried again with growing,
        jittered delays or after what ``Retry-After`` says, if the request is repeatable.

        Args:
            request: What to send.
            cancelled: Set by another thread to end waiting at once.

        Raises:
            RegistryUnavailableError: No such answer within the configured attempts.
            RegistryProtocolError: A redirect that leads nowhere, or in circles.
        """
        for attempt in range(1, self._config.max_attempts + 1):
            is_last = attempt == self._config.max_attempts or not request.is_repeatable
            try:
                response = self._follow(request)
            except RegistryUnavailableError as error:
                if is_last or isinstance(error.__cause__, requests.exceptions.SSLError):
                    raise
                self.pause(attempt, cancelled, registry=request.registry)
                continue
            if response.status not in _RETRYABLE:
                return response
            with response:
                asked_s = retry_after_s(response.headers.get("Retry-After", ""))
                if is_last or asked_s > MAX_DELAY_S:
                    raise _given_up(request.registry, response)
            self.pause(attempt, cancelled, registry=request.registry, at_least_s=asked_s)
        raise AssertionError

    def pause(
        self, attempt: int, cancelled: threading.Event, *, registry: str, at_least_s: float = 0.0
    ) -> None:
        """Wait before the attempt after number `attempt`.

        Raises:
            RegistryUnavailableError: Cancelled meanwhile.
        """
        grown_s = _FIRST_DELAY_S * 2 ** (attempt - 1) * self._jitter.uniform(0.5, 1.5)
        self._wait(cancelled, min(MAX_DELAY_S, max(grown_s, at_least_s)))
        if cancelled.is_set():
            raise RegistryUnavailableError(registry=registry, problem="cancelled")

    def close(self) -> None:
        """Close idle connections."""
        self._session.close()

    def _follow(self, request: Request) -> Response:
        url, headers = request.url, dict(request.headers)
        for _ in range(MAX_REDIRECTS + 1):
            response = self._send_once(request, url, headers)
            location = response.headers.get("Location")
            follows = response.status in _REDIRECTS and request.method in {"GET", "HEAD"}
            if not follows or location is None:
                return response
            response.close()
            target = redirect_target(url, location, registry=request.registry)
            if not is_same_origin(url, target):
                headers.pop(_AUTHORIZATION, None)
            url = target
        raise RegistryProtocolError(
            registry=request.registry, problem=f"more than {MAX_REDIRECTS} redirects"
        )

    def _send_once(self, request: Request, url: str, headers: Mapping[str, str]) -> Response:
        try:
            response = self._session.request(
                request.method,
                url,
                headers=dict(headers),
                data=request.make_body() if request.make_body else None,
                stream=True,
                timeout=(min(_CONNECT_TIMEOUT_S, self._config.timeout_s), self._config.timeout_s),
                allow_redirects=False,
                proxies=self._proxies(url),
            )
        except _BAD_ADDRESSES as error:
            fault = self._proxy_fault(url)
            if fault is not None:
                raise fault from None  # the cause may quote the proxy's password
            raise RegistryProtocolError(
                registry=request.registry, problem=f"the address {url[:200]!r}"
            ) from error
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
            raise _unavailable(request.registry, error) from error
        except OSError as error:  # what `requests` says about a bundle that is not there
            raise ConfigError(
                key="REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE",
                source="environment",
                problem=str(error)[:200],
            ) from error
        return Response(response, request.registry, self._config)

    def _proxies(self, url: str) -> dict[str, str] | None:
        # None for a key takes the environment's proxy away; this machine needs none for itself.
        without: dict[str, Any] = {"http": None, "https": None, "all": None}
        return without if is_plain_http(urlsplit(url).netloc, ()) else None

    def _proxy_fault(self, url: str) -> ConfigError | None:
        if self._proxies(url):
            return None
        return proxy_fault(url, requests.utils.get_environ_proxies(url, no_proxy=None))


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Keep requests from looking for the next request of a redirect, which `_follow` makes.

        It would read the redirect's body first, all of it, and trip over an address that is none.
        """


class _Adapter(requests.adapters.HTTPAdapter):
    """Connections, direct and through a proxy, that trust more authorities and wait less long."""

    def __init__(self, trust: ssl.SSLContext | None, *, pool_maxsize: int, limit_s: float) -> None:
        self._added: dict[str, Any] = {} if trust is None else {"ssl_context": trust}
        self._limit_s = limit_s
        super().__init__(pool_maxsize=pool_maxsize)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **(kwargs | self._added))
        limit_heads(self.poolmanager, self._limit_s)

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **(kwargs | self._added))
        limit_heads(manager, self._limit_s)
        return manager


def _keep_as_it_is(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    return prepared


def _given_up(registry: str, response: Response) -> RegistryUnavailableError:
    """The error with the registry's own words: of a pull limit nobody else can tell."""
    try:
        said = explanation(response.read(_MAX_ERROR_BYTES))
    except RegistryError:
        said = ""
    return RegistryUnavailableError(
        registry=registry, problem=f"it answers HTTP {response.status}{said}"
    )


def _unavailable(registry: str, error: Exception) -> RegistryUnavailableError:
    problem = "the connection broke"
    if isinstance(error, requests.exceptions.SSLError | urllib3.exceptions.SSLError):
        problem = f"TLS failed ({_root_cause(error)})"
    elif isinstance(
        error, requests.exceptions.Timeout | urllib3.exceptions.TimeoutError | TimeoutError
    ):
        problem = "it did not answer in time"
    elif isinstance(error, requests.exceptions.ProxyError):
        problem = "the proxy refused"
    elif isinstance(error, requests.exceptions.ConnectionError):
        problem = f"no connection ({_root_cause(error)})"
    return RegistryUnavailableError(registry=registry, problem=problem)


def _root_cause(error: BaseException) -> str:
    """The innermost reason, without addresses that carry signatures."""
    reason: BaseException = error
    for _ in range(8):
        inner = (getattr(reason, "reason", None), *reason.args[:1], reason.__cause__)
        nested = [each for each in inner if isinstance(each, BaseException)]
        if not nested:
            break
        reason = nested[0]
    text = getattr(reason, "strerror", None) or type(reason).__name__
    return str(text)[:200]
