"""``paylog inspect`` on real logs: the engine is recognised, and its proposal reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from paylog.cli.app import app
from paylog.subscription import read_subscriptions
from paylog.testing.contract import capture_object, together

SAMPLES = Path(__file__).parents[2] / "../shared/samples"
pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the shared samples are not here")
CORPUS = "credit_risk_cross_engine"
ENGINES = {
    f"{CORPUS}/azureml/credit/blue": "azure_machine_learning_service",
    f"{CORPUS}/bentoml": "bentoml",
    f"{CORPUS}/databricks": "databricks",
    f"{CORPUS}/generic": "files",
    f"{CORPUS}/ibm": "custom_machine_learning",
    f"{CORPUS}/kserve/v1": "kserve",
    f"{CORPUS}/kserve/v2": "kserve",
    f"{CORPUS}/sagemaker/base64_out_null_ct": "amazon_sagemaker",
    f"{CORPUS}/sagemaker/batch": "amazon_sagemaker_batch",
    f"{CORPUS}/sagemaker/csv_both": "amazon_sagemaker",
    f"{CORPUS}/seldon": "seldon",
    f"{CORPUS}/vertex": "vertex_ai",
    "azureml/raw_mdc_data": "azure_machine_learning_service",
    "kserve": "kserve",
    "mlflow": "mlflow",
    "sagemaker": "amazon_sagemaker",
}
READABLE = ("azureml/credit/blue", "bentoml", "generic", "ibm", "kserve/v1", "kserve/v2", "seldon")


@pytest.mark.parametrize("folder", ENGINES)
def test_the_engine_is_recognised(folder: str, tmp_path: Path) -> None:
    printed = CliRunner().invoke(app, ["inspect", str(SAMPLES / folder)])
    assert printed.exit_code == 0, printed.output
    (tmp_path / "found.yaml").write_text(printed.stdout)
    found = read_subscriptions(tmp_path)
    assert not found.problems
    assert [s.service_provider.value for s in found.subscriptions] == [ENGINES[folder]]


@pytest.mark.parametrize("folder", READABLE)
def test_a_proposal_with_the_labels_reads_all_60_rows(folder: str, tmp_path: Path) -> None:
    root = SAMPLES / CORPUS / folder
    printed = CliRunner().invoke(app, ["inspect", str(root), "--show-values"])
    (tmp_path / "found.yaml").write_text(printed.stdout)
    (subscription,) = read_subscriptions(tmp_path).subscriptions
    files = sorted(path for path in root.rglob("*") if path.is_file())
    if folder == "generic":
        files = [path for path in files if path.suffix == ".csv"]
    objects = [(capture_object(path.read_bytes(), str(path)), path.read_bytes()) for path in files]
    found = together(subscription, objects)
    assert len(found.rows) == 60
    assert not found.rejects
