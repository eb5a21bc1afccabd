"""The article's snippets, each Rust line beside the Python line that it becomes.

The Python lines are the code that `test_article.py` runs, so that a table of them in a text for people can be held
against what works. A line of Rust that Python needs no line for has "" beside it.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Snippet:
    """A snippet of the article.

    Attributes:
        title: What the article calls it.
        pairs: Lines of Rust, and the line of Python that they become.
    """

    title: str
    pairs: tuple[tuple[str, str], ...]

    @property
    def python(self) -> str:
        """The Python lines together."""
        return "\n".join(line for _, line in self.pairs if line)

    def handler(self, pattern: str) -> str:
        """A handler with these lines as its body, for those that the article shows without one."""
        return f"@server.route({pattern!r})\nasync def handle(stream, ctx):\n{textwrap.indent(self.python, '    ')}"


BASIC_HANDLER = Snippet(
    "Basic WebSocket Handler",
    (
        ('#[route("/ws_upgrade_type")]', '@server.route("/ws_upgrade_type")'),
        ("struct Websocket;", "class Websocket(lane.ServerHook):"),
        ("impl ServerHook for Websocket {", ""),
        ("async fn new(_: &mut Stream, _: &mut Context) -> Self {", "    def __init__(self, stream, ctx):"),
        ("Self", "        pass"),
        ("#[is_ws_upgrade_type]", "    @lane.is_ws_upgrade_type"),
        ("#[try_get_websocket_request(body)]", '    @lane.try_get_websocket_request("body")'),
        (
            "async fn handle(self, stream: &mut Stream, ctx: &mut Context) -> Status {",
            "    async def handle(self, stream, ctx, body):",
        ),
        (
            "let body_list: Vec<ResponseBody> = WebSocketFrame::create_frame_list(&body);",
            "        body_list = lane.WebSocketFrame.create_frame_list(body)",
        ),
        ("stream.send_list(body_list).await;", "        await stream.send_list(body_list)"),
        ("Status::Continue", "        return lane.Status.CONTINUE"),
    ),
)

SENDING_ATTRIBUTES = Snippet(
    "Attribute Macros for Sending",
    (
        ("#[try_send]", "@lane.try_send"),
        ("#[send]", "@lane.send"),
        ("#[try_flush]", "@lane.try_flush"),
        ("#[flush]", "@lane.flush"),
        ("#[closed]", "@lane.closed"),
    ),
)

FRAME_LIST = Snippet(
    "Creating Frame Lists",
    (
        (
            "let body_list: Vec<ResponseBody> = WebSocketFrame::create_frame_list(&body);",
            "body_list = lane.WebSocketFrame.create_frame_list(body)",
        ),
    ),
)

SEND_LIST = Snippet(
    "Sending Frames",
    (("stream.send_list(body_list).await;", "await stream.send_list(body_list)"),),
)

INDIVIDUAL_SENDING = Snippet(
    "Individual frame sending",
    (
        ("let data: Vec<u8> = ctx.get_mut_response().build();", "data = ctx.response.build()"),
        ("stream.try_send(data).await;", "await stream.try_send(data)"),
        ("stream.send(data).await;", "await stream.send(data)"),
        ("stream.try_send_list(&frame_list).await;", "await stream.try_send_list(frame_list)"),
        ("stream.try_flush().await;", "await stream.try_flush()"),
    ),
)

SET_CLOSED = Snippet(
    "Connection Management",
    (("stream.set_closed(true);", "stream.set_closed(True)"),),
)

KEEP_ALIVE = Snippet(
    "Connection Management: keep-alive",
    (
        (
            "let keep_alive: bool = stream.is_keep_alive(ctx.get_request().is_enable_keep_alive());",
            "keep_alive = stream.is_keep_alive(ctx.request.is_enable_keep_alive)",
        ),
    ),
)

REQUEST_LOOP = Snippet(
    "Connection Management: a loop over requests",
    (
        # The request is the loop's own, not `ctx.request`: that stays the one that came here.
        (
            "while stream.try_get_http_request().await.is_ok() {",
            "while (request := await stream.try_get_http_request()) is not None:",
        ),
        ("if !ctx.get_request().is_enable_keep_alive() {", "    if not request.is_enable_keep_alive:"),
        ("stream.set_closed(true);", "        stream.set_closed(True)"),
        ("break;", "        break"),
    ),
)

SSE_RESPONSE = Snippet(
    "Setting Up the SSE Response",
    (
        ("let data: Vec<u8> = ctx", "data = (ctx"),
        (".get_mut_response()", "    .response"),
        (".set_header(CONTENT_TYPE, TEXT_EVENT_STREAM)", "    .set_header(lane.CONTENT_TYPE, lane.TEXT_EVENT_STREAM)"),
        (".set_body(Vec::new())", '    .set_body(b"")'),
        (".build();", "    .build())"),
        ("stream.try_send(data).await;", "await stream.try_send(data)"),
    ),
)

SSE_EVENTS = Snippet(
    "Sending SSE Events",
    (
        ("for i in 0..10 {", "for i in range(10):"),
        ('let body: String = format!("data:{i}{HTTP_DOUBLE_BR}");', '    body = f"data:{i}{lane.HTTP_DOUBLE_BR}"'),
        ("stream.try_send(&body).await;", "    await stream.try_send(body)"),
    ),
)

SNIPPETS = (
    BASIC_HANDLER,
    SENDING_ATTRIBUTES,
    FRAME_LIST,
    SEND_LIST,
    INDIVIDUAL_SENDING,
    SET_CLOSED,
    KEEP_ALIVE,
    REQUEST_LOOP,
    SSE_RESPONSE,
    SSE_EVENTS,
)

PAIRS = tuple(dict.fromkeys((rust, python.strip()) for snippet in SNIPPETS for rust, python in snippet.pairs if python))
"""Every line of Rust and the line of Python that it becomes, each pair once, in the article's order."""

WEBSOCKET_CLIENT = """\
const ws = new WebSocket('ws://localhost:8080/ws_upgrade_type');
ws.onopen = () => {
console.log('WebSocket connected');
ws.send('Hello Server!');
};
ws.onmessage = (event) => {
console.log('Received:', event.data);
};
ws.onclose = () => {
console.log('WebSocket disconnected');
};
"""

SSE_CLIENT = """\
const eventSource = new EventSource('http://localhost:8080/sse');
eventSource.onmessage = (event) => {
console.log('SSE Event:', event.data);
};
eventSource.onerror = () => {
console.log('SSE connection error, reconnecting...');
};
"""
