"""``sign verify generate-key-pair``: cosign's signatures, on store and registry directly."""

from pathlib import Path

import click

from pyrunner import config

_PASSWORD = "COSIGN_PASSWORD"  # noqa: S105 - the name of a variable
_FILE = click.Path(path_type=Path)


@click.command("sign")
@click.argument("model")
@click.option("--key", type=_FILE, required=True, metavar="FILE", help="The private key, PEM.")
def sign_command(model: str, *, key: Path) -> None:
    """Sign a model and push the signature.

    It goes where the model's name says, in cosign's format. The key is ECDSA P-256; an encrypted
    one is opened with COSIGN_PASSWORD.
    """
    from pyrunner.models import catalog, signing
    from pyrunner.registry.keys import load_private_key

    private = load_private_key(key, config.environment_value(_PASSWORD))
    settings = config.load()
    with catalog.open_client(settings) as client:
        signed = signing.sign(catalog.open_store(settings), client, model, private)
    what = "Pushed a signature of" if signed.is_new else "There already is this key's signature of"
    click.echo(f"{what} {signed.reference} ({signed.digest}) as {signed.signature}")


@click.command("verify")
@click.argument("model")
@click.option("--key", type=_FILE, required=True, metavar="FILE", help="The public key, PEM.")
def verify_command(model: str, *, key: Path) -> None:
    """Check that a model is signed with a key.

    The model is the one in the store, or, if it is not there, the one in its registry; the
    signature comes from the registry.
    """
    from pyrunner.models import catalog, signing
    from pyrunner.registry.keys import load_public_key

    public = load_public_key(key)
    settings = config.load()
    with catalog.open_client(settings) as client:
        verified = signing.verify(catalog.open_store(settings), client, model, public)
    click.echo(f"{verified.reference} ({verified.digest}) is signed with {key}")


@click.command("generate-key-pair")
@click.option("--output-key-prefix", "prefix", default="pyrunner", show_default=True,
              metavar="NAME", help="The files are NAME.key and NAME.pub.")  # fmt: skip
def generate_key_pair_command(*, prefix: str) -> None:
    """Make a key for 'sign' and one for 'verify'.

    The private one is PKCS#8 and encrypted with COSIGN_PASSWORD, or plain without it.
    """
    from pyrunner.registry.keys import write_key_pair

    private, public = Path(f"{prefix}.key"), Path(f"{prefix}.pub")
    write_key_pair(private, public, config.environment_value(_PASSWORD))
    click.echo(f"Wrote {private} (keep it) and {public} (hand it out)")
