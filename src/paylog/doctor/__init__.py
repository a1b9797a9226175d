"""``paylog doctor``: what is wrong with an installation, and the remedy of each."""

from paylog.doctor.examination import Diagnosis, Health, examine

__all__ = ["Diagnosis", "Health", "examine"]
