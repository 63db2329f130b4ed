"""The API description says what the service really answers."""

from fastapi import APIRouter

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
