"""What the start leaves out: it is there when somebody uses it, and the framework answers as ever."""

import json
import subprocess
import sys
import textwrap
from typing import Any

import pytest
from fastapi._compat import shared

DEFERRED = "from chassis.startup import import_fastapi; import_fastapi()"
PLAIN = "import fastapi"

EVERYTHING = """
from enum import Enum
from typing import Annotated
from fastapi import APIRouter, Body, Cookie, Depends, FastAPI, File, Form, Header, Query, Security, UploadFile
from fastapi.security import (
    APIKeyCookie, APIKeyHeader, APIKeyQuery, HTTPBasic, HTTPBearer, HTTPDigest, OAuth2AuthorizationCodeBearer,
    OAuth2PasswordBearer, OpenIdConnect,
)
from fastapi.sse import EventSourceResponse
from pydantic import BaseModel, Field

class Kind(Enum):
    ONE = "one"

class Node(BaseModel):
    kind: Kind = Kind.ONE
    children: list["Node"] = Field([], examples=[[]], description="Below.")

bearer = OAuth2PasswordBearer("token", scopes={"read": "Read."})
schemes = [
    APIKeyCookie(name="a"), APIKeyHeader(name="b"), APIKeyQuery(name="c"), HTTPBasic(), HTTPBearer(), HTTPDigest(),
    OAuth2AuthorizationCodeBearer("authorize", "token"), OpenIdConnect(openIdConnectUrl="connect"),
]
app = FastAPI(
    title="All", contact={"name": "x", "email": "x@example.org"}, license_info={"name": "MIT", "identifier": "MIT"},
    servers=[{"url": "https://example.org", "variables": {}}], openapi_tags=[{"name": "t", "externalDocs": {"url": "https://x.org"}}],
    dependencies=[Depends(each) for each in schemes],
)
callbacks = APIRouter()

@callbacks.post("{$callback_url}")
def called(node: Node): ...

missing = {404: {"model": Node, "description": "None."}}

@app.post("/nodes/{kind}", callbacks=callbacks.routes, responses=missing, tags=["t"])
async def create(
    kind: Kind, node: Node, q: Annotated[int, Query(ge=1, alias="Q")], h: Annotated[str, Header()],
    c: Annotated[str, Cookie()], user: Annotated[str, Security(bearer, scopes=["read"])],
) -> list[Node]: return [node]

@app.post("/files")
async def files(file: UploadFile, name: Annotated[str, Form()]) -> dict[str, Node]: return {}

@app.get("/events", response_class=EventSourceResponse)
async def events():
    yield {"a": 1}

@app.webhooks.post("hook")
def hook(node: Node): ...
"""


def says(program: str) -> Any:
    """Return what a program in a fresh process printed, as JSON."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_document_of_an_api_is_that_of_fastapi() -> None:
    documents = [
        says(f"{imported}\n{EVERYTHING}\nimport json\nprint(json.dumps(app.openapi()))")
        for imported in (DEFERRED, PLAIN)
    ]
    assert documents[0] == documents[1]
    assert len(documents[0]["components"]["securitySchemes"]) == 9


def test_nothing_of_the_document_is_built_before_it_is_asked_for() -> None:
    program = f"""
        {DEFERRED}
        import json
        from fastapi.openapi import models
        from pydantic import BaseModel

        def built():
            found = [each for each in vars(models).values() if isinstance(each, type) and issubclass(each, BaseModel)]
            return sorted(each.__name__ for each in found if each.__pydantic_complete__ and each is not BaseModel)

        before = built()
        models.OpenAPI(openapi="3.1.0", info={{"title": "x", "version": "1"}}, paths={{"/": {{"get": {{}}}}}})
        print(json.dumps([before, built()]))
    """
    before, after = says(program)
    assert before == ["OAuthFlows"]  # FastAPI makes one when it is imported
    assert after == ["OAuthFlows", "OpenAPI"]


@pytest.mark.parametrize("imported", [DEFERRED, PLAIN])
def test_a_model_of_fastapi_finds_its_own_names_wherever_it_is_first_used(imported: str) -> None:
    program = f"""
        {imported}
        import json
        from fastapi import Header
        from fastapi.openapi.models import Encoding

        class Schema: ...
        class PathItem: ...

        print(json.dumps(Encoding(headers={{"a": {{"schema": {{"not": True}}}}}}).model_dump(exclude_unset=True)))
    """
    assert says(program) == {"headers": {"a": {"schema_": {"not_": True}}}}


@pytest.mark.parametrize("imported", [DEFERRED, PLAIN])
def test_a_service_may_inherit_from_a_model_of_fastapi(imported: str) -> None:
    program = f"""
        {imported}
        import json
        from fastapi.openapi.models import Schema
        from fastapi.security import HTTPAuthorizationCredentials

        class Own(Schema):
            unit: str

        class Credentials(HTTPAuthorizationCredentials):
            user: int

        print(json.dumps([
            Own(unit="m", items={{"title": "t"}}).items.title,
            [each.__pydantic_complete__ for each in (Own, Credentials)],
            Credentials.model_config,
        ]))
    """
    assert says(program) == ["t", [True, True], {}]


def test_a_dependency_on_a_model_of_fastapi_takes_its_parameters() -> None:
    program = """
        {imported}
        import json
        from fastapi import Depends, FastAPI
        from fastapi.security import HTTPAuthorizationCredentials
        app = FastAPI()

        @app.get("/")
        def read(given: HTTPAuthorizationCredentials = Depends()) -> None: ...

        asked = app.openapi()["paths"]["/"]["get"]["parameters"]
        print(json.dumps([each["name"] for each in asked]))
    """
    deferred, plain = (says(program.replace("{imported}", each)) for each in (DEFERRED, PLAIN))
    assert deferred == plain == ["scheme", "credentials"]


def test_the_fields_of_the_models_of_fastapi_are_known_at_once() -> None:
    program = """
        {imported}
        import json
        from fastapi.openapi import models
        from pydantic import BaseModel
        found = [each for each in vars(models).values() if isinstance(each, type) and issubclass(each, BaseModel)]
        print(json.dumps({
            each.__name__: [str(field.annotation) for field in each.model_fields.values()] for each in found
        }))
    """
    deferred, plain = (says(program.replace("{imported}", each)) for each in (DEFERRED, PLAIN))
    assert deferred == plain


def test_an_import_that_fails_leaves_pydantic_as_it_was() -> None:
    program = """
        import builtins, json, sys
        import pydantic
        from chassis.startup import hidden, import_fastapi
        before = [pydantic.BaseModel.model_config, pydantic.BaseModel.__dict__["model_rebuild"]]
        with hidden("fastapi.applications"):
            try:
                import_fastapi()
            except ImportError:
                failed = True
        after = [pydantic.BaseModel.model_config, pydantic.BaseModel.__dict__["model_rebuild"]]
        import_fastapi()
        from fastapi import FastAPI
        print(json.dumps([failed, all(map(lambda a, b: a is b, before, after)), FastAPI().openapi()["paths"]]))
    """
    assert says(program) == [True, True, {}]


def test_a_setting_of_all_models_is_one_of_the_models_of_fastapi_too() -> None:
    program = """
        from pydantic import BaseModel
        BaseModel.model_config = {"validate_assignment": True}
        {imported}
        import json
        from fastapi.openapi.models import Contact
        print(json.dumps([BaseModel.model_config, Contact.model_config]))
    """
    deferred, plain = (says(program.replace("{imported}", each)) for each in (DEFERRED, PLAIN))
    assert deferred == plain


def test_models_of_a_service_are_built_as_ever() -> None:
    program = f"""
        import pydantic
        rebuild = pydantic.BaseModel.__dict__["model_rebuild"]
        {DEFERRED}
        import json
        from pydantic import BaseModel, RootModel

        def below(base):
            return {{each for one in base.__subclasses__() for each in (one, *below(one))}}

        class Own(BaseModel):
            name: str

        class Names(RootModel[list[str]]): ...

        deferred = [each for each in below(BaseModel) if not each.__pydantic_complete__]
        print(json.dumps([
            sorted({{each.__module__ for each in deferred}}),
            [each.__pydantic_complete__ for each in (Own, Names)],
            BaseModel.model_config,
            BaseModel.__dict__["model_rebuild"] is rebuild,
        ]))
    """
    assert says(program) == [["fastapi.openapi.models"], [True, True], {}, True]


@pytest.mark.parametrize("imported", [DEFERRED, PLAIN])
def test_a_model_of_pydantic_1_is_refused_as_ever(imported: str) -> None:
    program = f"""
        {imported}
        import json
        from fastapi import FastAPI
        from fastapi.exceptions import PydanticV1NotSupportedError
        app = FastAPI()

        @app.get("/")
        async def before() -> dict[str, str]: ...

        from pydantic.v1 import BaseModel

        class Old(BaseModel):
            name: str

        refused = []
        for use in (Old, list[Old], Old | None):
            async def create(body: use) -> None: ...
            try:
                app.post("/")(create)
            except PydanticV1NotSupportedError as error:
                refused.append("no longer supported" in str(error))
        print(json.dumps(refused))
    """
    assert says(program) == [True, True, True]


def test_pydantic_1_is_not_imported_for_a_route() -> None:
    program = """
        {imported}
        import json, sys
        from fastapi import FastAPI
        app = FastAPI()

        @app.get("/")
        async def read() -> dict[str, str]: ...

        print(json.dumps("pydantic.v1" in sys.modules))
    """
    assert [says(program.replace("{imported}", each)) for each in (DEFERRED, PLAIN)] == [False, True]


def test_what_was_imported_before_stays_as_it_is() -> None:
    program = f"""
        {PLAIN}
        import json
        from fastapi._compat import shared
        from fastapi.openapi.models import OpenAPI
        asked = shared.is_pydantic_v1_model_class
        {DEFERRED}
        print(json.dumps([OpenAPI.__pydantic_complete__, shared.is_pydantic_v1_model_class is asked]))
    """
    assert says(program) == [True, True]


def test_a_framework_that_does_not_look_for_pydantic_1_is_left_alone() -> None:
    program = """
        import importlib.abc, importlib.machinery, json, sys, types
        import chassis.startup

        fastapi, compat, shared = (types.ModuleType(name) for name in ("fastapi", "fastapi._compat", "shared"))
        fastapi._compat, compat.shared, fastapi.__path__ = compat, shared, []

        class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
            def find_spec(self, name, path, target=None):
                if name.startswith("fastapi"):
                    return importlib.machinery.ModuleSpec(name, self, is_package=True)
            def create_module(self, spec):
                return {"fastapi": fastapi, "fastapi._compat": compat}[spec.name]
            def exec_module(self, module): ...

        sys.meta_path.insert(0, Finder())
        chassis.startup.import_fastapi()
        print(json.dumps(hasattr(shared, "is_pydantic_v1_model_class")))
    """
    assert says(program) is False


def test_uvicorn_comes_without_the_watcher_of_its_reloader_which_can_be_had() -> None:
    program = """
        from chassis.startup import import_uvicorn; import_uvicorn()
        import json, sys
        before = "watchfiles" in sys.modules
        from uvicorn.supervisors.watchfilesreload import WatchFilesReload
        print(json.dumps([before, "watchfiles" in sys.modules]))
    """
    assert says(program) == [False, True]


def test_a_module_is_hidden_only_meanwhile() -> None:
    program = """
        import json, sys
        from chassis.startup import hidden

        def there():
            try:
                import colorsys
            except ImportError:
                return False
            return True

        with hidden("colorsys", "json"):
            seen = [there(), "json" in sys.modules and sys.modules["json"] is json]
        print(json.dumps([*seen, there()]))
    """
    assert says(program) == [False, True, True]


def test_the_process_of_a_service_imports_so_with_the_collector_held() -> None:
    program = """
        import gc
        import sys
        walks = []
        gc.callbacks.append(lambda phase, _: walks.append(phase))
        import chassis.server
        import json
        from fastapi.openapi.models import OpenAPI
        print(json.dumps([len(walks) < 50, gc.isenabled(), gc.get_freeze_count(), OpenAPI.__pydantic_complete__]))
    """
    assert says(program) == [True, True, 0, False]


def test_the_tests_of_the_chassis_run_on_it() -> None:
    assert shared.is_pydantic_v1_model_class.__module__ == "chassis.startup"
