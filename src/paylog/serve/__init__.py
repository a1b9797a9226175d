"""The payload-logging part of OpenScale's REST APIs, v1 and v2, over one data mart.

Existing code that uses IBM's SDKs points at it unchanged, an engine posts records online into the same
exactly-once store, and deliveries are tested against it. Sources: contract sections 1 and 2, and the
recorded requests of both SDKs.
"""

from paylog.serve.application import application

__all__ = ["application"]
