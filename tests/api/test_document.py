"""The document that others build on."""

import json

import jsonschema_rs
import pytest
from django.test import Client

from scripts.openapi import DOCUMENT, document
from tests.api.conftest import Program

pytestmark = pytest.mark.django_db


def test_the_committed_document_is_todays() -> None:
    assert DOCUMENT.read_text("utf-8") == document(), "run `make openapi`"


def test_the_server_gives_the_committed_document() -> None:
    served = Program().get("/openapi.json").body

    assert served == json.loads(DOCUMENT.read_text("utf-8"))


def test_it_is_of_openapi_3_1_and_every_schema_in_it_is_one() -> None:
    schema = json.loads(DOCUMENT.read_text("utf-8"))

    assert schema["openapi"].startswith("3.1")
    for name, definition in schema["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid(definition), name


def test_every_operation_has_an_id_a_description_its_scopes_and_its_errors() -> None:
    schema = json.loads(DOCUMENT.read_text("utf-8"))
    operations = [operation for methods in schema["paths"].values() for operation in methods.values()]

    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    for operation in operations:
        assert operation["description"], operation["operationId"]
        assert operation["x-scopes"], operation["operationId"]
        assert {"401", "403", "429", "500"} <= set(operation["responses"]), operation["operationId"]


def test_people_read_it_without_anything_from_elsewhere() -> None:
    page = Client().get("/api/v1/docs").content.decode()

    assert "openapi.json" in page
    assert "cdn" not in page
