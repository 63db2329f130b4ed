"""The API description says what the service really answers."""

import json
import re

import pytest
from fastapi import APIRouter
from pydantic import BaseModel, create_model

from chassis import errors
from chassis.app import create_app
from chassis.openapi import describe_problems
from chassis.service_settings import ServiceSettings

PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def described() -> dict:
    router = APIRouter()

    @router.get("/items/{item_id}")
    async def item(item_id: int) -> int:
        return item_id

    @router.get("/plain", responses={422: {"description": "Our own."}})
    async def plain() -> None: ...

    return create_app(ServiceSettings(), routers=[router]).openapi()


def test_a_validation_error_is_described_as_a_problem() -> None:
    assert described()["paths"]["/items/{item_id}"]["get"]["responses"]["422"]["content"] == PROBLEM


def test_every_operation_may_answer_a_problem() -> None:
    assert described()["paths"]["/plain"]["get"]["responses"]["default"]["content"] == PROBLEM


def test_a_response_that_the_service_described_itself_stays() -> None:
    assert described()["paths"]["/plain"]["get"]["responses"]["422"] == {"description": "Our own."}


def test_the_framework_s_own_error_schemas_are_gone() -> None:
    schemas = described()["components"]["schemas"]
    assert "HTTPValidationError" not in schemas
    assert {"Problem", "FieldError"} <= schemas.keys()


def test_a_document_without_paths_is_accepted() -> None:
    assert "Problem" in describe_problems({"openapi": "3.1.0"})["components"]["schemas"]


# A service's own models


def with_models(*models: type[BaseModel], path: str = "/{number}", status: int = 409) -> dict:
    """The document of a service whose operations answer these models; with a number in the path they validate."""
    router = APIRouter()
    for model in models:
        endpoint = answer if path else silent
        router.get(f"/{model.__name__}{path}", responses={status: {"model": model}})(endpoint)
    return create_app(ServiceSettings(), routers=[router]).openapi()


async def answer(number: int) -> None: ...


async def silent() -> None: ...


def own(name: str) -> type[BaseModel]:
    return create_model(name, fault=(str, ...))


def dangling(document: dict) -> set[str]:
    """What is referred to and is not there."""
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    return names - document["components"]["schemas"].keys()


NAMES = ["ValidationError", "HTTPValidationError", "Problem", "FieldError", "ChassisProblem"]


@pytest.mark.parametrize("names", [*([name] for name in NAMES), NAMES], ids="-".join)
def test_a_model_of_the_service_stays_whatever_its_name(names: list[str]) -> None:
    document = with_models(*map(own, names), path="")
    schemas = document["components"]["schemas"]
    assert {name: list(schemas[name]["properties"]) for name in names} == {name: ["fault"] for name in names}
    assert dangling(document) == set()


@pytest.mark.parametrize("names", [*([name] for name in NAMES), NAMES], ids="-".join)
def test_no_reference_dangles_where_an_operation_validates(names: list[str]) -> None:
    assert dangling(with_models(*map(own, names))) == set()


def test_the_chassis_s_models_get_another_name_only_where_the_service_has_theirs() -> None:
    document = with_models(own("Problem"), own("FieldError"), own("ChassisProblem"))
    schemas = document["components"]["schemas"]
    for answered in ("422", "default"):
        error = document["paths"]["/Problem/{number}"]["get"]["responses"][answered]["content"]
        assert error["application/problem+json"]["schema"]["$ref"].endswith("/ChassisChassisProblem")
    assert schemas["ChassisChassisProblem"]["properties"].keys() == errors.Problem.model_fields.keys()
    assert schemas["ChassisFieldError"]["properties"].keys() == errors.FieldError.model_fields.keys()
    assert "schemas/ChassisFieldError" in str(schemas["ChassisChassisProblem"])


@pytest.mark.parametrize(("taken", "free"), [("Problem", "FieldError"), ("FieldError", "Problem")])
def test_the_name_that_nobody_else_has_stays(taken: str, free: str) -> None:
    schemas = with_models(own(taken))["components"]["schemas"]
    assert schemas.keys() == {taken, free, f"Chassis{taken}"}
    assert "description" in schemas[free]


def test_a_service_that_answers_the_chassis_s_models_shares_them() -> None:
    document = with_models(errors.Problem, errors.FieldError)
    assert document["components"]["schemas"].keys() == {"Problem", "FieldError"}
    assert document["components"]["schemas"] == described()["components"]["schemas"]


def test_a_422_of_the_service_s_own_stays_whatever_its_model_is_called() -> None:
    document = with_models(own("HTTPValidationError"), status=422)
    answer = document["paths"]["/HTTPValidationError/{number}"]["get"]["responses"]["422"]
    assert "application/json" in answer["content"]
    assert list(document["components"]["schemas"]["HTTPValidationError"]["properties"]) == ["fault"]


def test_what_a_webhook_refers_to_stays() -> None:
    service = create_app(ServiceSettings())
    service.webhooks.post("paid")(answer)
    assert dangling(service.openapi()) == set()
