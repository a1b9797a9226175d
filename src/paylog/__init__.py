"""paylog: exactly-once batch payload logging for models served outside Watson Machine Learning."""

__version__ = "0.1.0"

__all__ = ["APIClient", "__version__"]


def __getattr__(name: str) -> object:
    # Imported when asked for: a DAG file that names paylog must parse in milliseconds.
    if name == "APIClient":
        from paylog.client import APIClient

        return APIClient
    raise AttributeError(f"module 'paylog' has no attribute {name!r}")
