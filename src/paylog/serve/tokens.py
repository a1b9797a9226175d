"""Who may call: tokens that are given for the API key, or the key itself as a bearer token."""

from __future__ import annotations

import hashlib
import hmac
import time

import jwt

LIFETIME = 3600
_ALGORITHM = "HS256"
_ISSUER = "paylog"


class Tokens:
    """Issues and checks tokens. Every process with the same key accepts the tokens of the others.

    :param api_key: at least 16 characters.
    """

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key.encode()
        self._signing_key = hashlib.sha256(b"paylog token\0" + self._api_key).digest()

    def is_key(self, given: str) -> bool:
        """Whether it is the API key; takes as long whatever is given."""
        return hmac.compare_digest(given.encode(), self._api_key)

    def issue(self) -> tuple[str, int]:
        """A token and when it ends, in seconds since 1970."""
        now = int(time.time())
        claims = {"iss": _ISSUER, "sub": "api-key", "iat": now, "exp": now + LIFETIME}
        return jwt.encode(claims, self._signing_key, algorithm=_ALGORITHM), now + LIFETIME

    def accepts(self, authorization: str) -> bool:
        """Whether an ``Authorization`` header lets a call pass."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            return False
        if self.is_key(token):
            return True
        try:
            jwt.decode(
                token,
                self._signing_key,
                algorithms=[_ALGORITHM],
                issuer=_ISSUER,
                options={"require": ["exp", "iss"]},
            )
        except jwt.InvalidTokenError:
            return False
        return True
