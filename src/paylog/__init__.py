"""paylog: exactly-once batch payload logging for models served outside Watson Machine Learning."""

__version__ = "0.1.0"
