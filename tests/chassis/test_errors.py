import json
import pickle
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from chassis import errors
from chassis.errors import Problem, ServiceError, ValidationFailed, for_status, problem_from
from chassis.errors.text import LARGEST_TEXT


class WorkflowNotFound(errors.NotFound):
    code = "WORKFLOW_NOT_FOUND"


def body(error: ServiceError, **request: str) -> dict[str, object]:
    members: dict[str, object] = json.loads(problem_from(error, **request).to_bytes())
    return members


def test_a_problem_carries_the_standard_members() -> None:
    error = WorkflowNotFound("No workflow has this id.", workflow_id=7)

    assert body(error, instance="/workflows/7", request_id="abc") == {
        "type": "urn:problem-type:workflow-not-found",
        "title": "Workflow not found",
        "status": 404,
        "detail": "No workflow has this id.",
        "instance": "/workflows/7",
        "code": "WORKFLOW_NOT_FOUND",
        "request_id": "abc",
        "workflow_id": 7,
    }


def test_members_without_a_value_are_left_out() -> None:
    assert body(errors.NotFound()) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "code": "NOT_FOUND",
    }


def test_a_subclass_may_set_everything() -> None:
    class PaymentError(ServiceError):
        status = 402
        code = "PAYMENT_REFUSED"
        title = "Payment refused"
        default_detail = "The bank refused."
        problem_type = "https://example.com/problems/payment-refused"

    assert body(PaymentError()) == {
        "type": "https://example.com/problems/payment-refused",
        "title": "Payment refused",
        "status": 402,
        "detail": "The bank refused.",
        "code": "PAYMENT_REFUSED",
    }


def test_a_subclass_with_no_name_of_its_own_is_its_parent_to_the_client() -> None:
    class Hidden(errors.NotFound):
        pass

    assert body(Hidden()) == body(errors.NotFound())


@pytest.mark.parametrize("members", [{"code": "not-upper"}, {"code": ""}, {"status": 200}, {"status": 600}])
def test_a_bad_class_is_refused_where_it_is_defined(members: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="Broken"):
        type("Broken", (ServiceError,), members)


@pytest.mark.parametrize(
    ("kind", "status", "code", "title"),
    [
        (errors.BadRequest, 400, "BAD_REQUEST", "Bad Request"),
        (errors.Unauthorized, 401, "UNAUTHORIZED", "Unauthorized"),
        (errors.Forbidden, 403, "FORBIDDEN", "Forbidden"),
        (errors.NotFound, 404, "NOT_FOUND", "Not Found"),
        (errors.MethodNotAllowed, 405, "METHOD_NOT_ALLOWED", "Method Not Allowed"),
        (errors.Conflict, 409, "CONFLICT", "Conflict"),
        (errors.ContentTooLarge, 413, "CONTENT_TOO_LARGE", "Content Too Large"),
        (errors.ValidationFailed, 422, "VALIDATION_FAILED", "Validation Failed"),
        (errors.TooManyRequests, 429, "TOO_MANY_REQUESTS", "Too Many Requests"),
        (errors.InternalError, 500, "INTERNAL_ERROR", "Internal Server Error"),
        (errors.BadGateway, 502, "BAD_GATEWAY", "Bad Gateway"),
        (errors.Unavailable, 503, "UNAVAILABLE", "Service Unavailable"),
        (errors.GatewayTimeout, 504, "GATEWAY_TIMEOUT", "Gateway Timeout"),
    ],
)
def test_the_hierarchy(kind: type[ServiceError], status: int, code: str, title: str) -> None:
    assert (kind.status, kind.code, kind.title) == (status, code, title)
    assert for_status(status) is kind
    assert kind.problem_type == (
        "about:blank" if kind is not ValidationFailed else "urn:problem-type:validation-failed"
    )


@pytest.mark.parametrize(
    ("status", "code", "title"),
    [
        (414, "URI_TOO_LONG", "URI Too Long"),
        (415, "UNSUPPORTED_MEDIA_TYPE", "Unsupported Media Type"),
        (416, "RANGE_NOT_SATISFIABLE", "Range Not Satisfiable"),
        (418, "IM_A_TEAPOT", "I'm a Teapot"),
        (499, "HTTP_499", "HTTP 499"),
    ],
)
def test_a_status_without_a_class_gets_a_generic_one(status: int, code: str, title: str) -> None:
    kind = for_status(status)

    assert (kind.status, kind.code, kind.title, kind.problem_type) == (status, code, title, "about:blank")
    assert for_status(status) is kind


@given(st.integers())
def test_every_number_has_a_class(status: int) -> None:
    kind = for_status(status)

    assert issubclass(kind, ServiceError)
    assert kind.status == (status if 400 <= status <= 599 else 500)


@pytest.mark.parametrize("name", sorted(set(Problem.model_fields) - {"detail"}))
def test_an_extension_cannot_replace_a_standard_member(name: str) -> None:
    forged: dict[str, Any] = {name: "forged"}

    assert body(errors.Conflict("Taken.", **forged)) == body(errors.Conflict("Taken."))


@given(st.text())
def test_any_detail_gives_one_safe_line(detail: str) -> None:
    sent = problem_from(errors.Conflict(detail), instance="/" + detail).to_bytes()
    shown = json.loads(sent)

    assert "\n" not in sent.decode()
    assert shown["detail"].isprintable() or not detail.isprintable()
    assert not any(character in shown["detail"] for character in "\x00\r\n\x1b\x85\u2028\u202e")
    assert shown["instance"].isascii()


def test_a_huge_detail_is_cut() -> None:
    detail = body(errors.Conflict("x" * 1_000_000))["detail"]

    assert isinstance(detail, str)
    assert len(detail) == LARGEST_TEXT == 1000
    assert detail.endswith("…")


def test_a_control_character_is_replaced() -> None:
    assert body(errors.Conflict("a\r\nb\x00c"))["detail"] == "a\ufffd\ufffdb\ufffdc"


def test_the_instance_is_a_uri_reference() -> None:
    assert (
        body(errors.NotFound(), instance="/a b/%2F?<é>\ud800")["instance"] == "/a%20b/%252F%3F%3C%C3%A9%3E%3F"
    )


def test_extensions_of_common_types_are_sent() -> None:
    class Item(BaseModel):
        price: Decimal

    error = errors.Conflict(
        key=uuid.UUID(int=1),
        names={"a"},
        total=Decimal("1.50"),
        item=Item(price=Decimal(2)),
        by_id={1: "one"},
    )

    sent = body(error)
    assert sent["key"] == "00000000-0000-0000-0000-000000000001"
    assert sent["names"] == ["a"]
    assert sent["total"] == "1.50"
    assert sent["item"] == {"price": "2"}
    assert sent["by_id"] == {"1": "one"}


@pytest.mark.parametrize("value", [2**70, "\ud800"])
def test_extensions_that_json_cannot_express_are_left_out(value: object) -> None:
    assert body(errors.Conflict("Taken.", odd=value)) == body(errors.Conflict("Taken."))


def test_an_extension_that_contains_itself_is_left_out() -> None:
    loop: list[object] = []
    loop.append(loop)

    assert body(errors.Conflict("Taken.", odd=loop)) == body(errors.Conflict("Taken."))


def test_a_crash_shows_a_fixed_sentence() -> None:
    assert body(errors.InternalError())["detail"] == errors.InternalError.default_detail


def test_a_service_error_shows_its_detail_also_for_5xx() -> None:
    assert body(errors.BadGateway("The bank did not answer."))["detail"] == "The bank did not answer."


def test_an_error_reads_as_its_detail() -> None:
    assert str(errors.Conflict("Taken.")) == "Taken."
    assert str(errors.Conflict()) == "Conflict"


def test_an_error_survives_pickling() -> None:
    copy = pickle.loads(pickle.dumps(errors.TooManyRequests("Slow down.", retry_after=2, scope="key")))

    assert (copy.detail, copy.headers, copy.extensions) == (
        "Slow down.",
        {"Retry-After": "2"},
        {"scope": "key"},
    )


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (errors.Unauthorized(), [(b"www-authenticate", b"Bearer")]),
        (errors.Unauthorized(challenge='Basic realm="x"'), [(b"www-authenticate", b'Basic realm="x"')]),
        (errors.Unauthorized(headers={"www-authenticate": "Digest"}), [(b"www-authenticate", b"Digest")]),
        (errors.MethodNotAllowed(allow=["GET", "HEAD"]), [(b"allow", b"GET, HEAD")]),
        (errors.TooManyRequests(retry_after=0.2), [(b"retry-after", b"1")]),
        (errors.Unavailable(retry_after=-3), [(b"retry-after", b"0")]),
        (errors.Unavailable(), []),
        (errors.Conflict(headers={"ETag": '"é\u20ac"'}), [(b"etag", b'"\xe9?"')]),
        (errors.Conflict(headers={"X-A": "1\r\nX-Forged: 2"}), [(b"x-a", b"1 X-Forged: 2")]),
    ],
)
def test_headers(error: ServiceError, headers: list[tuple[bytes, bytes]]) -> None:
    assert error.raw_headers() == headers


class Address(BaseModel):
    city: str


class Order(BaseModel):
    quantity: int
    addresses: list[Address]


def found(kind: Any, value: object) -> ValidationFailed:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    return ValidationFailed.from_pydantic([{**e, "loc": ("body", *e["loc"])} for e in caught.value.errors()])


def test_validation_lists_every_field_without_its_value() -> None:
    sent = body(found(Order, {"quantity": "hunter2", "addresses": [{}]}))

    assert sent["detail"] == "2 fields are wrong."
    assert sent["errors"] == [
        {
            "location": "body",
            "pointer": "/quantity",
            "message": "Input should be a valid integer, unable to parse string as an integer",
            "type": "int_parsing",
        },
        {"location": "body", "pointer": "/addresses/0/city", "message": "Field required", "type": "missing"},
    ]
    assert "hunter2" not in json.dumps(sent)


def test_a_field_with_slashes_has_an_escaped_pointer() -> None:
    error = ValidationFailed.from_pydantic([{"loc": ("body", "a/b~c"), "msg": "No.", "type": "custom"}])

    assert error.errors[0].pointer == "/a~1b~0c"


def test_an_error_with_no_place_is_one_of_the_whole_body() -> None:
    error = ValidationFailed.from_pydantic([{}])

    assert error.errors[0].model_dump() == {
        "location": "body",
        "pointer": "",
        "message": "Invalid.",
        "type": "invalid",
    }
    assert error.detail == "1 field is wrong."


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("Expecting value", "Expecting value"),
        ("Unterminated string starting at", "Unterminated string starting"),
    ],
)
def test_a_body_that_is_not_json_is_told_as_that(reason: str, told: str) -> None:
    problem = {
        "type": "json_invalid",
        "loc": ("body", 7),
        "msg": "JSON decode error",
        "ctx": {"error": reason},
    }
    error = ValidationFailed.from_pydantic([problem])
    assert error.detail == "The body is not JSON."
    assert error.errors[0].pointer == ""
    assert error.errors[0].message == f"The body is not JSON: {told} at character 7."


def refuse(value: object) -> object:
    raise ValueError(f"{value} is no good")


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Annotated[str, AfterValidator(refuse)], "s3cret-value"),
        (Annotated[int, AfterValidator(refuse)], 4111111111111111),
        (Pet, {"kind": "s3cret-value"}),
        (uuid.UUID, "s3cret-value"),
        (Literal["a", "b"], "s3cret-value"),
    ],
)
def test_no_message_repeats_the_value(kind: object, value: object) -> None:
    sent = found(kind, value).errors[0].message

    assert "s3cret-value" not in sent
    assert "4111111111111111" not in sent
    assert sent


def test_a_validator_s_text_shows_stars_in_the_place_of_the_value() -> None:
    sent = found(Annotated[str, AfterValidator(refuse)], "s3cret-value").errors[0].message

    assert sent == "Value error, *** is no good"


def test_a_short_value_leaves_the_message_readable() -> None:
    assert (
        found(Annotated[str, AfterValidator(refuse)], "is").errors[0].message == "Value error, is is no good"
    )


def refuse_a_part(value: str) -> str:
    raise ValueError(f"{value[:4]} is no beginning")


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        (Annotated[str, AfterValidator(refuse_a_part)], "name=value", "name is no beginning"),
        (Annotated[list[int], AfterValidator(refuse)], [100, 200], "[100, 200] is no good"),
        (Annotated[dict[str, int], AfterValidator(refuse)], {"a": 100}, "{'a': 100} is no good"),
    ],
)
def test_what_a_validator_puts_together_is_its_own_text(kind: object, value: object, told: str) -> None:
    assert found(kind, value).errors[0].message == f"Value error, {told}"


@pytest.mark.parametrize("location", ["body", "query", "path", "header", "cookie"])
def test_a_field_error_names_the_part_of_the_request(location: str) -> None:
    error = ValidationFailed.from_pydantic([{"loc": (location, "id"), "msg": "No.", "type": "custom"}])

    assert (error.errors[0].location, error.errors[0].pointer) == (location, "/id")


def test_a_name_that_the_client_invented_is_repeated_in_the_pointer() -> None:
    class Closed(BaseModel):
        model_config = ConfigDict(extra="forbid")

    assert found(Closed, {"invented": 1}).errors[0].pointer == "/invented"


def test_a_tag_error_without_its_context_says_so() -> None:
    error = ValidationFailed.from_pydantic(
        [{"loc": ("body",), "type": "union_tag_invalid", "msg": "tag 'x'"}]
    )

    assert error.errors[0].message == "Input has an unknown tag"


def test_a_flood_of_field_errors_is_cut_and_counted() -> None:
    error = ValidationFailed.from_pydantic(
        [{"loc": ("body", n), "msg": "No.", "type": "custom"} for n in range(500)]
    )

    assert len(error.errors) == errors.MOST_FIELD_ERRORS
    assert error.detail == "500 fields are wrong. The first 100 are listed."
