"""Requests, good and bad."""

import re
from dataclasses import dataclass, field
from typing import Any

THING = b'{"name": "n", "cost": 3, "tags": ["a"]}'


@dataclass
class Ask:
    method: str
    path: str
    query: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    bodies: tuple[bytes, ...] = (b"",)
    root_path: str = ""
    leaves: bool = False
    breaks_after: int = 99
    scope: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        said = f"{self.method} {self.root_path}{self.path}?{self.query!r} {self.headers} {self.bodies}"
        return (
            re.sub(r"\W+", " ", said)[:90] + (" leaves" if self.leaves else "") + f" {self.breaks_after % 99}"
        )


def get(path: str, query: bytes = b"", *headers: tuple[bytes, bytes], **more: Any) -> Ask:
    return Ask("GET", path, query, list(headers), **more)


def post(path: str, *parts: bytes, kind: bytes | None = b"application/json", **more: Any) -> Ask:
    headers = [] if kind is None else [(b"content-type", kind)]
    return Ask("POST", path, more.pop("query", b""), headers, parts or (THING,), **more)


ASKED = [
    *map(get, ["/", "/plain", "/plain/", "/plain\n", "/nothing", "/nowhere", "//plain", "", "/openapi.json"]),
    *map(get, ["/users/me", "/users/7", "/users/seven", "/users/late", "/users/7/", "/users/", "/users/7\n"]),
    *map(get, ["/users/me\n", "/users/%37", "/users/ü", "/users/ 7", "/users/7/8", "/users/" + "7" * 700]),
    *(
        Ask(method, path)
        for method in ("HEAD", "OPTIONS", "PUT", "DELETE", "PROPFIND", "get", "")
        for path in ("/users/me", "/users/7", "/many/x", "/plain", "/first/x", "/classy", "/nowhere")
    ),
    *map(get, ["/typed/1/2", "/typed/1/2.5", "/typed/x/2", "/typed/1/2.", "/typed/²/1", "/typed/٣/1"]),
    get("/typed/" + "9" * 5000 + "/1"),
    get("/typed/" + "9" * 590 + "/1"),
    *map(get, ["/uuid/0b9c8d1e-5f5e-4f0e-8c6e-0123456789ab", "/uuid/0b9c8d1e5f5e4f0e8c6e0123456789ab", "/uuid/x"]),
    *map(get, ["/files/", "/files/a", "/files/a/b.c", "/files//", "/files", "/files/a\nb", "/files/a\n"]),
    *map(get, ["/days/2026-11-20/small", "/days/x/y", "/days/2026-11-20/tiny", "/limits/4", "/limits/5", "/limits/99"]),
    *map(get, ["/alias/{item-id}", "/alias/x"]),
    get("/query"),
    *(
        get("/query", query)
        for query in (
            b"q=a",
            b"q=a&q=b",
            b"q=",
            b"q",
            b"q=a&limit=0",
            b"q=a&limit=x&kind=tiny&way=left",
            b"q=a&tags=1&tags=2&other-name=abc",
            b"q=a&other-name=abcd&other=x",
            b"q=a&made=4&made=5&numbers=1&numbers=1&on=yes&kind=small&way=down",
            b"q=a&made=&numbers=x&on=maybe",
            b"q=%C3%BC&limit=%31",
            b"q=\xfc+a;b&=x&&",
            b"q=%ff%00",
        )
    ),
    *(get("/strict-default", query) for query in (b"", b"n=1", b"n=x")),
    *(get("/json-query", query) for query in (b"", b"value=[1]", b"value=[1", b"value=&value=[2]")),
    *(get("/model-query", query) for query in (b"", b"name=x&cost=1&tags=a&tags=b", b"name=x&cost=y")),
    *(get("/choices", query) for query in (b"", b"first=1", b"second=2", b"second=2&first=1", b"first=x")),
    get("/headers/1"),
    get("/headers/x", b"q=y", (b"cookie", b"session=z")),
    get("/headers/1", b"q=2", (b"x-token", b"t"), (b"x-many", b"1"), (b"x-many", b"2"), (b"cookie", b"session=3")),
    *(get("/sync/1", query) for query in (b"", b"func=y")),
    get("/sync/x"),
    *(
        get(f"{prefix}/{name}")
        for prefix in ("/shape", "/sync-shape")
        for name in "include include-none exclude by-name unset defaults none created enum class".split()  # noqa: SIM905
    ),
    *map(get, ["/bodiless/204", "/bodiless/205", "/bodiless/304", "/bytes", "/html", "/redirect", "/no-model"]),
    *map(get, ["/nan", "/nan-no-model", "/invalid", "/sync-invalid", "/unserializable", "/surrogate", "/response"]),
    *map(get, ["/failing-background", "/stream", "/lines", "/http-error", "/refused", "/sync-refused", "/crash"]),
    *map(get, ["/handler-fails", "/own-validation", "/group"]),
    get("/stream", b"fail=1"),
    *(
        get(path, breaks_after=after)
        for after in (0, 1)
        for path in ("/plain", "/response", "/stream", "/nowhere", "/refused")
    ),
    *(
        post(f"{prefix}{path}")
        for prefix in ("", "/outer/v1/inner")
        for path in "/thing /thing/1 /thing/x /two /embedded /optional /raw /sync-thing /list".split()  # noqa: SIM905
    ),
    *(
        post("/thing", body)
        for body in (
            *(b"", b"{}", b"null", b"[]", b'{"name": 1}', b"{", b"\xff", b'"x"'),
            *(b"[" * 100_000, b"NaN", b" ", b"\xef\xbb\xbf{}"),
        )
    ),
    *(post("/raw", body, kind=b"text/plain") for body in (b"x", b"{}", b"")),
    *(
        post("/thing", kind=kind)
        for kind in (
            None,
            b"",
            b"text/json",
            b"application/vnd.x+json; charset=utf-8",
            b"APPLICATION/JSON",
            b"application/json;;",
            b"json",
            b"application/x-json",
            b"\xff/\xff",
            b"application/json, application/json",
        )
    ),
    post("/thing", THING[:9], THING[9:]),
    post("/thing", THING[:9], leaves=True),
    *(post("/optional", body) for body in (b"", b"null", b"{}")),
    post("/two", b'{"thing": {"name": "n"}, "other": 4}'),
    post("/two", b'{"thing": {}, "other": "x"}'),
    post("/two", b"[]"),
    post("/embedded", b'{"thing": {"name": "n"}}'),
    post("/list", b'[{"name": "n"}, {"name": 5}]'),
    post("/thing/x", b"{}", query=b"q=z"),
    post("/form", b"name=x", kind=b"application/x-www-form-urlencoded"),
    *(
        get(f"{prefix}{path}", query, *headers)
        for prefix in ("/deps", "/outer/deps/t")
        for path, query, headers in (
            ("/nested/1", b"", ()),
            ("/nested/1", b"q=loud", ()),
            ("/nested/x", b"", ()),
            ("/count", b"", ()),
            ("/class", b"", ()),
            ("/class", b"limit=x", ()),
            ("/yielded", b"", ()),
            ("/yielded", b"fail=1", ()),
            ("/yielded", b"fail=x", ()),
            ("/gate", b"", ()),
            ("/gate", b"n=x", ((b"x-key", b"shut"),)),
            ("/gate", b"n=x", ()),
            ("/gate", b"", ((b"x-key", b"open"),)),
            ("/touched", b"", ()),
            ("/touched-response", b"", ()),
            ("/key", b"", ()),
            ("/key", b"", ((b"x-key", b"k"),)),
            ("/token", b"", ()),
            ("/token", b"", ((b"authorization", b"Bearer t"),)),
            ("/scopes", b"", ()),
            ("/request/4", b"", ()),
            ("/request/x", b"", ()),
        )
    ),
    *(post(f"/deps/{name}", body) for name in ("in-dependency", "in-both") for body in (THING, b"{}", b"", b"{")),
    post("/deps/in-both", b'{"thing": {"name": "n"}, "other": 4}'),
    *map(get, ["/direct/1", "/direct/x", "/outer/page", "/outer/any", "/outer/v1/inner/timed/3"]),
    get("/outer/v1/inner/timed/x"),
    *map(get, ["/outer/v1/starlette/x", "/first/x", "/classy", "/outer/", "/outer", "/outer/v1/"]),
    *map(get, ["/below/plain", "/below/users/7", "/below/users/x", "/below/nowhere", "/below", "/below/"]),
    *map(get, ["/mounted/x", "/mounted/after", "/mounted", "/after/1", "/after/x", "/behind/1", "/cba", "/ws"]),
    get("/x", b"", (b"host", b"other.test")),
    *(
        Ask("GET", path, root_path="/api")
        for path in ("/plain", "/users/7", "/users/x", "/below/users/x", "/deps/request/1", "/plain/", "")
    ),
]  # fmt: skip
