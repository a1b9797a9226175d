"""Google Cloud Storage's XML API in front of an S3 server: signed tokens checked, addresses as Google's.

Google's XML API is S3's, but for two things: requests carry a token that the service account's key
has signed, and clients write ``-`` and ``/`` of a key percent-encoded.
"""

from __future__ import annotations

import base64
import json
import time
from typing import Any
from urllib.parse import quote, unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from paylog.connections import Connection
from paylog.testing.s3_gateway import S3Gateway


class GcsGateway(S3Gateway):
    """A bucket server with one service account; a context manager.

    :param upstream: ``(host, port)`` of an S3 server that checks no signatures (moto).
    """

    def __init__(self, upstream: tuple[str, int]) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        super().__init__(upstream, self._signed)

    def key_file(self) -> dict[str, str]:
        """What Google calls the JSON key of the service account."""
        return _key_file(self._key)

    def connection(self, conn_id: str = "gcs", **extra: Any) -> Connection:
        """A ``google_cloud_platform`` connection with the account's key."""
        return Connection(
            conn_id,
            "google_cloud_platform",
            extra={"keyfile_dict": self.key_file(), "endpoint_url": self.endpoint, **extra},
        )

    def address_of(self, path: str) -> str:
        place, mark, query = path.partition("?")
        return quote(unquote(place), safe="/~") + mark + query

    def _signed(self, authorization: str | None) -> bool:
        """A token of ours, not expired: RFC 7519 with RS256."""
        scheme, _, token = (authorization or "").partition(" ")
        signed, _, signature = token.rpartition(".")
        if scheme != "Bearer" or "." not in signed:
            return False
        try:
            self._key.public_key().verify(_decoded(signature), signed.encode(), padding.PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return bool(json.loads(_decoded(signed.split(".")[1]))["exp"] > time.time())


def stranger_key_file() -> dict[str, str]:
    """The key of a service account that no gateway knows."""
    return _key_file(rsa.generate_private_key(public_exponent=65537, key_size=2048))


def _key_file(key: rsa.RSAPrivateKey) -> dict[str, str]:
    return {
        "type": "service_account",
        "client_email": "reader@paylog.test",
        "private_key_id": "1",
        "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    }


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
