"""What the start of a service leaves out of the libraries it imports, until something uses it.

FastAPI builds the validators of the models of an OpenAPI document, which only a request for that document
uses, and imports pydantic 1 for the first route, to refuse its models. uvicorn imports the watcher of its
reloader, structlog the colours of its tracebacks. Decision 0010 has what each costs.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict
from pydantic.errors import PydanticUndefinedAnnotation

__all__ = ["hidden", "import_fastapi", "import_uvicorn"]


@contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Let modules that nobody imported so far look as if they were not installed.

    For what a library uses if it is there. A later import finds them as ever.
    """
    hiding = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hiding))  # type: ignore[arg-type]  # documented: None refuses an import
    try:
        yield
    finally:
        for name in hiding:
            del sys.modules[name]


def import_uvicorn() -> None:
    """Import uvicorn without the watcher of its reloader, unless somebody imported it before.

    ``uvicorn.supervisors.ChangeReload`` is then the one that polls; the other is where it is defined.
    """
    with hidden("watchfiles"):
        import uvicorn.supervisors  # noqa: F401 - for what it leaves in memory


def import_fastapi() -> None:
    """Import FastAPI so that it builds and imports what can wait when that is used.

    If somebody imported it before, it stays as it is.
    """
    if "fastapi" in sys.modules:
        return
    with _models_deferred():
        import fastapi  # noqa: F401 - for what it leaves in memory
    _leave_pydantic_1_out(sys.modules.get("fastapi._compat.shared"))


@contextmanager
def _models_deferred() -> Iterator[None]:
    """Let the models of an OpenAPI document, if they are defined meanwhile, be built when they are first used.

    Source: https://docs.pydantic.dev/latest/api/config/#pydantic.config.ConfigDict.defer_build
    """
    config, rebuild = BaseModel.model_config, BaseModel.__dict__["model_rebuild"]
    before = set(_models(BaseModel))

    def rebuild_when_used(cls: type[BaseModel], /, **given: Any) -> bool | None:
        # pydantic passes arguments when a model is used; FastAPI, which completes three models at once, passes none.
        built: bool | None = rebuild.__func__(cls, **given) if given else _look_names_up(cls, rebuild)
        return built

    BaseModel.model_config = ConfigDict(**{**config, "defer_build": True})
    BaseModel.model_rebuild = classmethod(rebuild_when_used)  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        BaseModel.model_config = config
        BaseModel.model_rebuild = rebuild  # type: ignore[method-assign]
        for model in set(_models(BaseModel)) - before:
            model.model_config.pop("defer_build", None)  # a model that inherits from it is not to be deferred
            if model.__module__ != "fastapi.openapi.models":
                model.model_rebuild(raise_errors=False)


def _models(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in base.__subclasses__():
        yield model
        yield from _models(model)


def _look_names_up(cls: type[BaseModel], rebuild: Any) -> bool | None:
    """Let a model find the names in its annotations, and be built no further.

    Looked up when the model is used, they could be names of whoever uses it: its ``Header`` for FastAPI's.
    """

    def not_yet(cls: type[BaseModel], /, *_: Any) -> NoReturn:
        raise PydanticUndefinedAnnotation(None, f"{cls.__name__} is built when it is used")

    cls.__get_pydantic_core_schema__ = classmethod(not_yet)  # type: ignore[method-assign, assignment]
    try:
        built: bool | None = rebuild.__func__(cls, raise_errors=False)
    finally:
        del cls.__get_pydantic_core_schema__
    return built


def _leave_pydantic_1_out(shared: Any) -> None:
    """Let FastAPI look for models of pydantic 1 only when somebody has imported it: there are none before."""
    ask = getattr(shared, "is_pydantic_v1_model_class", None)
    if ask is None:
        return

    def is_pydantic_v1_model_class(cls: Any) -> bool:
        return "pydantic.v1" in sys.modules and ask(cls)

    shared.is_pydantic_v1_model_class = is_pydantic_v1_model_class
