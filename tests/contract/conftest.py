"""One server of each kind for all storage tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import stamina
from storage_places import BUCKET, Place, in_azure, in_bucket, in_folder, in_gcs, in_s3, moto_server

from paylog.connections import Connection
from paylog.storage.cos_client import cos_client
from paylog.testing.azurite import Azurite
from paylog.testing.gcs import GcsGateway
from paylog.testing.iam import TokenEndpoint
from paylog.testing.object_store import ObjectStore
from paylog.testing.s3_gateway import S3Gateway


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with ObjectStore(tmp_path_factory.mktemp("seaweedfs")) as store:
        store.create_bucket(BUCKET)
        yield store


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    with Azurite() as server:
        server.create_container(BUCKET)
        yield server


@pytest.fixture(scope="session")
def moto_with_iam() -> Iterator[Connection]:
    with ExitStack() as stack:
        moto = stack.enter_context(moto_server())
        tokens = stack.enter_context(TokenEndpoint({"contract-key"}))
        gateway = stack.enter_context(S3Gateway(moto, tokens.accepts))
        connection = Connection(
            "cos",
            "ibm_cos",
            extra={
                "endpoint_url": gateway.endpoint,
                "api_key": "contract-key",
                "service_instance_id": "crn:v1:test",
                "auth_endpoint": tokens.url,
            },
        )
        cos_client(connection).create_bucket(Bucket=BUCKET)
        yield connection


@pytest.fixture(scope="session")
def gcs() -> Iterator[GcsGateway]:
    with moto_server() as moto, GcsGateway(moto) as gateway:
        endpoint = "http://{}:{}".format(*moto)
        anybody = Connection("moto", "ibm_cos", login="a", password="b", extra={"endpoint_url": endpoint})
        cos_client(anybody).create_bucket(Bucket=BUCKET)
        yield gateway


@pytest.fixture(params=["folder", "seaweedfs", "moto_with_iam", "s3", "azurite", "gcs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    stamina.set_testing(True, attempts=3)
    use = request.getfixturevalue
    match request.param:
        case "folder":
            yield in_folder(tmp_path)
        case "seaweedfs":
            yield in_bucket(use("seaweedfs").connection())
        case "moto_with_iam":
            yield in_bucket(use("moto_with_iam"))
        case "s3":
            yield in_s3(use("seaweedfs"))
        case "azurite":
            yield in_azure(use("azurite"))
        case "gcs":
            yield in_gcs(use("gcs").connection())
    stamina.set_testing(False)
