"""Whom TLS trusts besides the public authorities: a company's own, by setting or environment."""

import ssl

import urllib3.util.ssl_

from pyrunner.config import RegistryConfig, environment_value
from pyrunner.errors import ConfigError

_ENVIRONMENT = "SSL_CERT_FILE"


def added_trust(config: RegistryConfig) -> ssl.SSLContext | None:
    """A context with the authorities of ``registry.ca_bundle`` and ``SSL_CERT_FILE``, if any.

    The public ones are added to it when it is used. ``REQUESTS_CA_BUNDLE`` and ``CURL_CA_BUNDLE``
    are the business of the HTTP library: they replace the public ones.

    Raises:
        ConfigError: A bundle cannot be read.
    """
    added = {
        "registry.ca_bundle": ("settings", config.ca_bundle),
        _ENVIRONMENT: ("environment", environment_value(_ENVIRONMENT) or ""),
    }
    context = None
    for key, (source, path) in added.items():
        if not path:
            continue
        context = context or urllib3.util.ssl_.create_urllib3_context()
        try:
            context.load_verify_locations(path)
        except OSError as error:  # ssl.SSLError is one
            problem = f"{path} holds no certificates ({error.strerror or error})"
            raise ConfigError(key=key, source=source, problem=problem) from error
    return context
