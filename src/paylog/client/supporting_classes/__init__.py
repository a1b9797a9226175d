"""What the documented calls take besides engines, as ``ibm_ai_openscale.supporting_classes`` names it."""

from paylog.client.payload_record import PayloadRecord
from paylog.client.supporting_classes.enums import FeedbackFormat, InputDataType, ProblemType
from paylog.client.supporting_classes.feature import Feature

__all__ = ["Feature", "FeedbackFormat", "InputDataType", "PayloadRecord", "ProblemType"]
