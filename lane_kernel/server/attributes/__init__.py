"""Attributes on handlers: decorators that run in the order they are written.

    @server.route("/echo/{room}")
    class Echo(lane.ServerHook):
        @lane.is_ws_upgrade_type                       # a guard
        @lane.route_param("room")                      # hands `room` to the body
        @lane.try_get_websocket_request("body")        # all below once for each message
        async def handle(self, stream, ctx, room, body): ...

- Before the body, top first: guards, extraction, response setters. A guard that is not met ends it there: neither the
  body nor anything below or after runs, and the handler answers CONTINUE.
- After the body, top first: `send`, `try_send`, `flush`, `try_flush`, `closed`.
- A loop wraps all that is written below it: what stands above runs once, what stands below for each turn, and what
  stands above and runs after the body runs after the loop.
- `prologue_macros` and `epilogue_macros` take attributes, `prologue_hooks` and `epilogue_hooks` hooks: all of them
  before the body or after it, in the order they are named.

Wrong use raises `AttributeUseError` where the handler is defined; `server.route` holds the handler's parameters, and
the route's, against what its attributes fill and ask for.

`chain` holds the attributes of a handler and runs them; `decorators` is what a person writes; `guards`, `responses`,
`extraction`, `loops`, `sending` and `composition` are the attributes.

Where this differs from Hyperlane's code (its documents often say what is done here):

| Attribute | Hyperlane's code | Here | Why |
| --- | --- | --- | --- |
| all that run before the body | the last written runs first: each is put in front of what is there | top first | one \
rule for all; it is what decorators are read as |
| `try_get_http_request`, `try_get_websocket_request` | wrap what is written above them, and turn around the body | \
wrap what is written below | the same rule |
| a guard in a loop that is not met | ends the handler | passes over this turn | the next message is another one's |
| `try_flush`, `flush`, `closed` | before the body | after the body, as its documents say | there is nothing to flush \
before |
| `send`, `try_send` in `prologue_macros` | before the body | before the body | no difference: the list says when |
| `try_get_http_request` | waits for the next request | begins with the one that came here | else nobody answers that |
| `try_get_http_request` | a response not sent is never sent | it is sent before the next request is read | a client \
waits for each |
| `is_ws_upgrade_type` | a request that is no upgrade gets an empty answer | on a route it gets 426 and what to do | \
RFC 9110 §15.5.22 |
| `host`, `reject_host` | the Host header to the letter, port included | upper and lower case are one; without a port \
any port is meant | a server here has a free port |
| `host`, `reject_host`, `referer`, `reject_referer` | one value | one or several, any of which will do | as `methods` \
takes them |
| `prologue_hooks` | what a hook answers is ignored | REJECT ends the handler with REJECT | it is what Reject says |
| `epilogue_hooks` | what a hook answers is ignored | REJECT is the last, and the answer | the same |
| `response_header(k => v)` | sets | `response_header({k: v})` sets | `=>` is no Python; `response_header(k, v)` adds \
in both |
| values of setters, data of `send` | any expression, which may use `ctx` | a constant, or a callable of `ctx` | a \
decorator's arguments are evaluated once |
| `request_query("key" => variable)` and the like | pairs | `("key")`, `("key", "variable")`, `(variable="key")` | the \
same pairs in Python |
| `request_body_json(variable: Type)` | deserialises into the type | what `json.loads` gives | Python's values carry \
their types |
| `request_body_json_result` | a `Result` | `try_get_request_body_json`, which hands None | Python has no `Result` |
| `request_querys` | its spelling | `request_queries` | English |
| plain extraction of what is missing | panics | raises `ExtractionError`, which fails the handler | Python's panic |
"""

from __future__ import annotations

from lane_kernel.server.attributes.chain import (
    Attribute,
    AttributeUseError,
    attributes_of,
    check_filled,
    check_route_params,
    mark_taken,
    refuse_attributes,
)
from lane_kernel.server.attributes.composition import (
    epilogue_hooks,
    epilogue_macros,
    prologue_hooks,
    prologue_macros,
)
from lane_kernel.server.attributes.decorators import (
    AnyAttribute,
    Decorator,
    Extraction,
    refuse_uncalled,
)
from lane_kernel.server.attributes.extraction import (
    ExtractionError,
    attribute,
    attributes,
    request_body,
    request_body_json,
    request_cookie,
    request_cookies,
    request_error_data,
    request_header,
    request_headers,
    request_path,
    request_queries,
    request_query,
    request_version,
    route_param,
    route_params,
    task_panic_data,
    try_get_attribute,
    try_get_request_body_json,
    try_get_request_cookie,
    try_get_request_error_data,
    try_get_request_header,
    try_get_request_query,
    try_get_route_param,
    try_get_task_panic_data,
)
from lane_kernel.server.attributes.guards import (
    filter,
    host,
    is_connect_method,
    is_delete_method,
    is_get_method,
    is_h2c_upgrade_type,
    is_head_method,
    is_http0_9_version,
    is_http1_0_version,
    is_http1_1_or_higher_version,
    is_http1_1_version,
    is_http2_version,
    is_http3_version,
    is_http_version,
    is_options_method,
    is_patch_method,
    is_post_method,
    is_put_method,
    is_tls_upgrade_type,
    is_trace_method,
    is_unknown_method,
    is_unknown_upgrade_type,
    is_unknown_version,
    is_ws_upgrade_type,
    methods,
    referer,
    reject,
    reject_host,
    reject_referer,
)
from lane_kernel.server.attributes.loops import (
    try_get_http_request,
    try_get_websocket_request,
)
from lane_kernel.server.attributes.responses import (
    clear_response_headers,
    response_body,
    response_header,
    response_reason_phrase,
    response_status_code,
    response_version,
)
from lane_kernel.server.attributes.sending import (
    closed,
    flush,
    send,
    try_flush,
    try_send,
)

__all__ = [
    "AnyAttribute",
    "Attribute",
    "AttributeUseError",
    "Decorator",
    "Extraction",
    "ExtractionError",
    "attribute",
    "attributes",
    "attributes_of",
    "check_filled",
    "check_route_params",
    "clear_response_headers",
    "closed",
    "epilogue_hooks",
    "epilogue_macros",
    "filter",
    "flush",
    "host",
    "is_connect_method",
    "is_delete_method",
    "is_get_method",
    "is_h2c_upgrade_type",
    "is_head_method",
    "is_http0_9_version",
    "is_http1_0_version",
    "is_http1_1_or_higher_version",
    "is_http1_1_version",
    "is_http2_version",
    "is_http3_version",
    "is_http_version",
    "is_options_method",
    "is_patch_method",
    "is_post_method",
    "is_put_method",
    "is_tls_upgrade_type",
    "is_trace_method",
    "is_unknown_method",
    "is_unknown_upgrade_type",
    "is_unknown_version",
    "is_ws_upgrade_type",
    "mark_taken",
    "methods",
    "prologue_hooks",
    "prologue_macros",
    "referer",
    "refuse_attributes",
    "refuse_uncalled",
    "reject",
    "reject_host",
    "reject_referer",
    "request_body",
    "request_body_json",
    "request_cookie",
    "request_cookies",
    "request_error_data",
    "request_header",
    "request_headers",
    "request_path",
    "request_queries",
    "request_query",
    "request_version",
    "response_body",
    "response_header",
    "response_reason_phrase",
    "response_status_code",
    "response_version",
    "route_param",
    "route_params",
    "send",
    "task_panic_data",
    "try_flush",
    "try_get_attribute",
    "try_get_http_request",
    "try_get_request_body_json",
    "try_get_request_cookie",
    "try_get_request_error_data",
    "try_get_request_header",
    "try_get_request_query",
    "try_get_route_param",
    "try_get_task_panic_data",
    "try_get_websocket_request",
    "try_send",
]
