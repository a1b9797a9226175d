"""``paylog serve``: the payload-logging part of OpenScale's REST APIs over a data mart."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from paylog.cli.exit_code import reported
from paylog.cli.lean import settle
from paylog.errors import ConfigurationError, MissingExtra

KEY_VARIABLE = "PAYLOG_SERVE_API_KEY"
_LEAST_KEY = 16


def serve(
    connection: Annotated[str, typer.Option(help="Id of the connection (type postgres) to the data mart.")],
    schema: Annotated[str, typer.Option(help="Schema of the data mart.")],
    instance: Annotated[
        str, typer.Option(help="Id that clients know the OpenScale instance by (a GUID).")
    ] = "00000000-0000-0000-0000-000000000000",
    host: Annotated[
        str, typer.Option(help="Address to listen on; other than loopback needs TLS.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8083,
    certificate: Annotated[Path | None, typer.Option(help="TLS certificate chain, PEM.")] = None,
    key: Annotated[Path | None, typer.Option(help="TLS private key, PEM.")] = None,
) -> None:
    """Serve OpenScale's payload-logging REST APIs, v1 and v2, from a data mart.

    The API key that clients must know is read from PAYLOG_SERVE_API_KEY, or from the file that
    PAYLOG_SERVE_API_KEY_FILE names. Nothing can be read without a token.
    """
    with reported(False):
        _run(connection, schema, instance, host, port, certificate, key)


def _run(
    connection: str,
    schema: str,
    instance: str,
    host: str,
    port: int,
    certificate: Path | None,
    key: Path | None,
) -> None:
    try:
        import uvicorn

        from paylog.serve import application
    except ImportError:
        raise MissingExtra("paylog serve needs: pip install 'paylog[serve]'") from None
    from paylog.client.data_mart import DataMartClient
    from paylog.connections import resolve
    from paylog.transport import is_loopback

    if not is_loopback(host) and not (certificate and key):
        raise ConfigurationError(
            f"{host} is not loopback: tokens and payload would travel in the clear. Give --certificate and "
            "--key, or listen on 127.0.0.1 behind a proxy that does TLS"
        )
    client = DataMartClient(instance)
    client.use(resolve(connection), schema)
    settle()
    uvicorn.run(
        application(client, _api_key()),
        host=host,
        port=port,
        ssl_certfile=str(certificate) if certificate else None,
        ssl_keyfile=str(key) if key else None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )


def _api_key() -> str:
    """:raises ConfigurationError: none is set, or it is too short."""
    file = os.environ.get(f"{KEY_VARIABLE}_FILE")
    try:
        key = Path(file).read_text(encoding="utf-8").strip() if file else os.environ.get(KEY_VARIABLE, "")
    except OSError as error:
        raise ConfigurationError(f"{KEY_VARIABLE}_FILE cannot be read: {error.strerror}") from None
    if len(key) < _LEAST_KEY:
        raise ConfigurationError(
            f"set {KEY_VARIABLE} (or {KEY_VARIABLE}_FILE) to an API key of at least {_LEAST_KEY} characters: "
            "clients exchange it for a token"
        )
    return key
