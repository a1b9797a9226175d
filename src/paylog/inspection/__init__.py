"""Inspection: what a folder of unknown scoring logs holds, and a subscription to start from."""

from paylog.inspection.glimpse import Glimpse, glimpse
from paylog.inspection.proposal import proposal
from paylog.inspection.recognition import Recognised, recognise
from paylog.inspection.shapes import Shape, shapes

__all__ = ["Glimpse", "Recognised", "Shape", "glimpse", "proposal", "recognise", "shapes"]
