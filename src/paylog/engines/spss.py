"""SPSS Collaboration and Deployment Services: scored rows as CSV, or requests with their responses.

The service writes no log of its own. What is on disk is what the operator keeps: flat CSV, one scored
row a line (as IBM's sample payload), or payload records with the scoring service's own bodies.
"""

from __future__ import annotations

from paylog.engines.files import Files


class SPSS(Files):
    """Decoder of flat files and of payload records; ``codecs.spss_body`` reads the bodies."""

    signs = (frozenset({"request.requestInputTable", "response.rowValues"}),)
