"""The caller's token for Hugging Face, lent to a server that was started without one."""

from pyrunner.cli.address import Address


def lent_token(reference: str, address: Address) -> str | None:
    """The token to send along with a pull, None when there is none or it would not be safe.

    It goes to this machine or over TLS, never in clear through a network. Docker's command line
    sends it too (reference, section 8), to any host.

    Raises:
        ConfigError: The token that is set could not be sent; never says what it is.
    """
    # What a pull needs, and `pyrunner ls` should not spend its time on.
    from pyrunner.config import environment_value
    from pyrunner.errors import InvalidReferenceError
    from pyrunner.registry.hosts import is_plain_http
    from pyrunner.registry.hub_token import hub_token
    from pyrunner.registry.reference import HUGGING_FACE, Reference

    try:
        registry = Reference.parse(reference).registry
    except InvalidReferenceError:  # which the server says better
        return None
    is_private = address.socket_path or address.is_tls or is_plain_http(address.host, ())
    return hub_token(environment_value) if registry == HUGGING_FACE and is_private else None
