"""Watson Machine Learning: payload records whose bodies are those of its scoring API.

``{"input_data": [{"fields", "values", "meta"?}]}`` and ``{"predictions": [{"fields", "values"}]}``, in
the envelope of an OpenScale payload record; the order of the fields is free. Source: the service's v4 API.
"""

from __future__ import annotations

from paylog.engines.custom_machine_learning import CustomMachineLearning


class WatsonMachineLearning(CustomMachineLearning):
    """Decoder of payload records of the service; also reads bare ``fields``/``values`` (v3)."""
