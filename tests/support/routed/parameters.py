"""Routes with parameters of all kinds."""
# ruff: noqa: C901 - a list of routes, each of which is simple

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Cookie, Header, Path, Query
from pydantic import AfterValidator, AliasChoices, Json

from routed.models import Kind, Thing, even


def parameters() -> APIRouter:
    router = APIRouter()

    @router.get("/plain")
    async def plain() -> dict[str, int]:
        return {"a": 1}

    @router.get("/nothing")
    async def nothing():
        return None

    @router.get("/users/me")
    async def me() -> str:
        return "me"

    @router.get("/users/{user_id}")
    async def user(user_id: int) -> int:
        return user_id

    @router.get("/users/late")
    async def late() -> str:
        return "never"

    @router.put("/users/{name}")
    async def put_user(name: str) -> str:
        return name

    @router.api_route("/many/{name}", methods=["GET", "HEAD", "OPTIONS", "DELETE", "PROPFIND"])
    async def many(name: str) -> str:
        return name

    @router.get("/typed/{n:int}/{f:float}")
    async def typed(n: int, f: float) -> list[float]:
        return [n, f]

    @router.get("/uuid/{u:uuid}")
    async def uuid(u: UUID) -> UUID:
        return u

    @router.get("/uuid/{u}")
    async def not_uuid(u: str) -> str:
        return f"no uuid: {u}"

    @router.get("/files/{path:path}")
    async def files(path: str) -> str:
        return path

    @router.get("/days/{day}/{kind}")
    async def days(day: date, kind: Kind) -> dict[str, Any]:
        return {"day": day, "kind": kind}

    @router.get("/limits/{number}")
    async def limits(number: Annotated[int, Path(ge=3, le=9), AfterValidator(even)]) -> int:
        return number

    @router.get("/alias/{item-id}")
    async def no_parameter() -> str:
        return "literal"

    @router.get("/query")
    async def query(  # noqa: PLR0917 - one of each kind
        q: str,
        limit: Annotated[int, Query(ge=1, le=100)] = 10,
        tags: Annotated[list[str], Query()] = ["x"],  # noqa: B006
        other: Annotated[str | None, Query(alias="other-name", max_length=3)] = None,
        made: Annotated[list[int], Query(default_factory=lambda: [1, 2])] = ...,  # type: ignore[assignment]
        kind: Kind = Kind.LARGE,
        on: bool = False,
        way: Literal["up", "down"] = "up",
        numbers: Annotated[set[int] | None, Query()] = None,
    ) -> list[Any]:
        return [q, limit, tags, other, made, kind, on, way, numbers]

    @router.get("/strict-default")
    async def strict_default(n: Annotated[int, Query(validate_default=True)] = "5") -> Any:  # type: ignore[assignment]
        return n

    @router.get("/json-query")
    async def json_query(value: Annotated[Json[list[int]], Query()]) -> list[int]:
        return value

    @router.get("/model-query")
    async def model_query(thing: Annotated[Thing, Query()]) -> Thing:
        return thing

    @router.get("/choices")
    async def choices(n: Annotated[int, Query(validation_alias=AliasChoices("first", "second"))]) -> int:
        return n

    @router.get("/headers/{n}")
    async def headers(
        n: int,
        x_token: Annotated[str, Header()],
        x_many: Annotated[list[str] | None, Header()] = None,
        session: Annotated[int, Cookie()] = 7,
        q: int = 0,
    ) -> list[Any]:
        return [n, x_token, x_many, session, q]

    @router.get("/sync/{n}")
    def sync(n: int, func: str = "x") -> dict[str, Any]:
        return {"n": n, "func": func}

    return router
