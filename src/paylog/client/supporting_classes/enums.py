"""The words of the documented calls."""

from enum import StrEnum


class InputDataType(StrEnum):
    """What a model takes."""

    STRUCTURED = "structured"
    UNSTRUCTURED_IMAGE = "unstructured_image"
    UNSTRUCTURED_TEXT = "unstructured_text"


class ProblemType(StrEnum):
    """What a model predicts."""

    REGRESSION = "regression"
    BINARY_CLASSIFICATION = "binary"
    MULTICLASS_CLASSIFICATION = "multiclass"


class FeedbackFormat(StrEnum):
    """How feedback is handed over."""

    WML = "wml"
    DICT = "dict"
    CSV = "text"
