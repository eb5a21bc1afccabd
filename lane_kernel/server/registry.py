"""What a server knows how to handle: routes and hooks, registered by decorators, replaced when a cell runs again."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from lane_kernel.server import define
from lane_kernel.server.attributes import (
    attributes_of,
    check_filled,
    check_route_params,
    mark_taken,
    refuse_attributes,
    refuse_uncalled,
)
from lane_kernel.server.hooks import Hook, HookError, HookKind, Hooks, Run, ServerHook, is_another
from lane_kernel.server.patterns import Pattern, RouteError
from lane_kernel.server.routes import Definition, Route, RouteKind, Routes
from lane_kernel.server.sessions import (
    Handler,
    OnMessage,
    callback_run,
    check_callback,
    check_parameters,
    events_run,
    function_run,
    hook_run,
    websocket_run,
)
from lane_kernel.server.upgrade import UPGRADE_ORDER, Upgrade

Defined = TypeVar("Defined", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Registration:
    """A route to be.

    Attributes:
        pattern: Its pattern.
        kind: What it speaks.
        run: Its handler as the pipeline calls it.
    """

    pattern: str
    kind: RouteKind
    run: Run


class Registry:
    """Routes and hooks. `Server` is one."""

    def __init__(self) -> None:
        """Begin without routes; the one hook is the upgrade."""
        self._routes = Routes()
        self._hooks = Hooks()
        self._staged: list[Registration | Hook] | None = None
        self._hooks.put(_upgrade(hook_run(Upgrade)))

    # To be found

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes, in the order they were added."""
        return tuple(self._routes)

    def find(self, raw_path: str) -> tuple[Route, dict[str, str]] | None:
        """Find the route of a path as it came, with its parameters."""
        return self._routes.find(raw_path)

    def hooks(self, kind: HookKind) -> tuple[Hook, ...]:
        """The hooks of one kind, in the order they run."""
        return self._hooks.of(kind)

    # Routes

    def route(self, pattern: str) -> Callable[[Defined], Defined]:
        """Route a pattern to a handler in Hyperlane's form: a `ServerHook`, or a coroutine over stream and context.

        Args:
            pattern: A path such as "/echo", "/chat/{room}" or "/files/{path:.+}". Giving it again replaces the handler.

        Raises:
            RouteError: The pattern cannot be routed.
            TypeError: The handler is neither.
            AttributeUseError: The handler's attributes do not fit its parameters, or those of the pattern.
        """
        names = _names_in(pattern, "route")

        def decorate(handler: Defined) -> Defined:
            run = _run_of(handler)
            check_route_params(_handle_of(handler), pattern, names)
            self._register(Registration(pattern, _kind_of(handler), run), handler)
            mark_taken(handler, f"@server.route({pattern!r})")
            return handler

        return decorate

    @overload
    def websocket(self, pattern: str) -> Callable[[Defined], Defined]: ...
    @overload
    def websocket(self, pattern: str, *, on_message: OnMessage) -> None: ...
    def websocket(self, pattern: str, *, on_message: OnMessage | None = None) -> Callable[[Defined], Defined] | None:
        """Route a pattern to a coroutine over a WebSocket, or to a function for its messages.

        The route's parameters follow by name.

            @server.websocket("/echo")
            async def echo(ws):
                async for message in ws:
                    await ws.send(message)

            server.websocket("/quick", on_message=lambda ws, message: ws.post(message))

        Args:
            pattern: A path such as "/echo" or "/chat/{room}". Giving it again replaces the handler.
            on_message: Called with the WebSocket and each message, straight from the read, so that it answers with
                `ws.post`; a coroutine function is awaited, one message after another. Without it, this decorates.

        Raises:
            RouteError: The pattern cannot be routed.
            TypeError: The handler cannot take what it will be called with.
        """
        if on_message is None:
            return self._session(pattern, RouteKind.WEBSOCKET, websocket_run)
        check_callback(on_message, pattern, _names_in(pattern, "websocket"))
        self._register(Registration(pattern, RouteKind.WEBSOCKET, callback_run(on_message)), on_message)
        return None

    def events(self, pattern: str) -> Callable[[Defined], Defined]:
        """Route a pattern to a coroutine over an event stream; the route's parameters follow by name.

        Raises:
            RouteError: The pattern cannot be routed.
        """
        return self._session(pattern, RouteKind.EVENTS, events_run)

    def _session(self, pattern: str, kind: RouteKind, make: Callable[[Handler], Run]) -> Callable[[Defined], Defined]:
        name = "events" if kind is RouteKind.EVENTS else "websocket"
        names = _names_in(pattern, name)

        def decorate(handler: Defined) -> Defined:
            refuse_uncalled(handler)
            refuse_attributes(handler, pattern)
            check_parameters(handler, pattern, names)
            self._register(Registration(pattern, kind, make(handler)), handler)
            mark_taken(handler, f"@server.{name}({pattern!r})")
            return handler

        return decorate

    # Hooks

    @overload
    def request_middleware(self, hook: Defined, *, name: str | None = None) -> Defined: ...
    @overload
    def request_middleware(
        self, hook: int | None = None, *, name: str | None = None
    ) -> Callable[[Defined], Defined]: ...
    def request_middleware(self, hook: Any = None, *, name: str | None = None) -> Any:
        """Run a hook before every route: `@server.request_middleware`, or with an order `@…request_middleware(2)`.

        Those without an order run first, then those with one, the least first. The upgrade to a WebSocket is one of
        order 1000. A hook of the same name is replaced; where a factory makes several, each takes a name of its own.

        Args:
            hook: A `ServerHook`, or a coroutine over stream and context; or the order of the hook that follows.
            name: Its name; that of the class or function by default.

        Raises:
            TypeError: It is no such hook.
            HookError: The order is no int, or the hook has no name.
        """
        return self._hook(HookKind.REQUEST_MIDDLEWARE, hook, name)

    @overload
    def response_middleware(self, hook: Defined, *, name: str | None = None) -> Defined: ...
    @overload
    def response_middleware(
        self, hook: int | None = None, *, name: str | None = None
    ) -> Callable[[Defined], Defined]: ...
    def response_middleware(self, hook: Any = None, *, name: str | None = None) -> Any:
        """Run a hook after every route, unless a hook or the handler rejected; see `request_middleware`."""
        return self._hook(HookKind.RESPONSE_MIDDLEWARE, hook, name)

    @overload
    def task_panic(self, hook: Defined, *, name: str | None = None) -> Defined: ...
    @overload
    def task_panic(self, hook: int | None = None, *, name: str | None = None) -> Callable[[Defined], Defined]: ...
    def task_panic(self, hook: Any = None, *, name: str | None = None) -> Any:
        """Run a hook where another or a handler raised: `ctx.task_panic_data` says what; see `request_middleware`."""
        return self._hook(HookKind.TASK_PANIC, hook, name)

    @overload
    def request_error(self, hook: Defined, *, name: str | None = None) -> Defined: ...
    @overload
    def request_error(self, hook: int | None = None, *, name: str | None = None) -> Callable[[Defined], Defined]: ...
    def request_error(self, hook: Any = None, *, name: str | None = None) -> Any:
        """Run a hook where a request could not be read: `ctx.request_error_data` says why; see `request_middleware`."""
        return self._hook(HookKind.REQUEST_ERROR, hook, name)

    def upgrade(self, hook: Defined) -> Defined:
        """Put a hook in the place of the one that answers opening handshakes: a `lane.Upgrade`, or any other.

        Raises:
            TypeError: It is no hook.
        """
        self._register(_upgrade(_run_of(hook)), hook)
        return hook

    def remove_hook(self, name: str) -> None:
        """Remove the hooks of a name.

        Raises:
            HookError: There is none.
        """
        self._hooks.remove(name)
        self.touch()

    def _hook(self, kind: HookKind, hook: Any, name: str | None) -> Any:
        def decorate(made: Defined) -> Defined:
            called = name or getattr(made, "__qualname__", None)
            if called is None:
                raise HookError(f"{made!r} has no name, by which it would be replaced or removed: give it `name=`")
            self._register(Hook(kind, called, _run_of(made), order, made), made)
            mark_taken(made, f"@server.{kind.name.lower()}")
            return made

        if callable(hook):
            order = None
            return decorate(hook)
        if hook is not None and (isinstance(hook, bool) or not isinstance(hook, int)):
            raise HookError(f"the order of a {kind.value} is an int, not {hook!r}")
        order = hook
        return decorate

    # Adding and replacing

    def _register(self, registration: Registration | Hook, handler: object) -> None:
        if self._staged is not None:
            self._staged.append(registration)
        elif isinstance(registration, Hook):
            self.commit_hook(registration)
        else:
            self.commit(registration, define.definition_of(handler))

    @contextlib.contextmanager
    def staging(self) -> Iterator[list[Registration | Hook]]:
        """Collect the routes and hooks that the block defines, instead of adding them."""
        outer, self._staged = self._staged, []
        try:
            yield self._staged
        finally:
            self._staged = outer

    def commit(self, registration: Registration, definition: Definition | None) -> Route:
        """Add a route, or give it this handler; open connections go on with it at their next message."""
        route = self._routes.put(registration.pattern, registration.kind, registration.run, definition)
        self._replaced(route)
        self.touch()
        return route

    def commit_hook(self, hook: Hook) -> None:
        """Add a hook, or replace the one of its kind and name."""
        replaced = self._hooks.put(hook)
        if replaced is not None and is_another(replaced.made, hook.made):
            self._lost(hook)
        self.touch()

    def apply(self, pattern: str, source: str, namespace: Mapping[str, Any] | None = None) -> Route:
        """Make a handler of source text and swap it in, without dropping a connection.

        Args:
            pattern: The route it is for, where the text has no decorator that says so.
            source: The text.
            namespace: Names that the text may use, such as the notebook's.

        Raises:
            HandlerError: The text has a mistake; it says on which line. The old handler stays.
        """
        return define.apply(self, pattern, source, namespace)

    def remove(self, pattern: str) -> None:
        """Remove a route; connections that it has stay.

        Raises:
            RouteError: There is none of that pattern.
        """
        self._routes.remove(pattern)
        self.touch()

    def touch(self) -> None:
        """Say that something changed."""
        raise NotImplementedError

    def _lost(self, hook: Hook) -> None:
        """Say that a hook took the place of another one, and not of its own older self."""
        raise NotImplementedError

    def _replaced(self, route: Route) -> None:
        """Let those who run a route's old handler go on with its new one."""
        raise NotImplementedError


def _names_in(pattern: str, decorator: str) -> tuple[str, ...]:
    """The parameters of a pattern that was given to a decorator."""
    if not isinstance(pattern, str):
        raise RouteError(
            f'@server.{decorator} takes a path, not {pattern!r}: write @server.{decorator}("/echo") above the handler'
        )
    return Pattern(pattern).names


def _upgrade(run: Run) -> Hook:
    return Hook(HookKind.REQUEST_MIDDLEWARE, "Upgrade", run, UPGRADE_ORDER)


def _run_of(handler: Callable[..., Any]) -> Run:
    """Make a pipeline's handler of a `ServerHook` or of a coroutine over stream and context.

    Raises:
        TypeError: It is neither.
        AttributeUseError: No attribute fills one of its parameters.
    """
    refuse_uncalled(_handle_of(handler))
    if inspect.isclass(handler):
        handle = getattr(handler, "handle", None)
        if handle is ServerHook.handle or not inspect.iscoroutinefunction(handle):
            raise TypeError(f"{handler.__name__} has no `async def handle(self, stream, ctx)`")
        is_method = inspect.isfunction(inspect.getattr_static(handler, "handle"))
        _check_called(handle, is_method)
        check_filled(handle, is_method=is_method)
        return hook_run(handler)
    if not inspect.iscoroutinefunction(handler):
        raise TypeError(f"{getattr(handler, '__name__', handler)!r} is no `async def` over (stream, ctx)")
    _check_called(handler, is_method=False)
    check_filled(handler, is_method=False)
    return function_run(handler)


def _check_called(handle: Callable[..., Any], is_method: bool) -> None:
    """Refuse a handler that cannot be called with stream and context."""
    given = ("self", "stream", "ctx") if is_method else ("stream", "ctx")
    signature = inspect.signature(handle)
    try:
        signature.bind_partial(*given)
    except TypeError:
        name = getattr(handle, "__name__", "handle")
        raise TypeError(
            f"{getattr(handle, '__qualname__', handle)}{signature} cannot be called with stream and ctx: write `async "
            f"def {name}({', '.join(given)})`; a coroutine over `ws` stands below @server.websocket(…), one over "
            "`events` below @server.events(…)"
        ) from None


def _handle_of(handler: Callable[..., Any]) -> Callable[..., Any]:
    handle: Callable[..., Any] = getattr(handler, "handle", handler) if inspect.isclass(handler) else handler
    return handle


def _kind_of(handler: Callable[..., Any]) -> RouteKind:
    names = {attribute.name for attribute in attributes_of(_handle_of(handler))}
    is_websocket = names & {"is_ws_upgrade_type", "try_get_websocket_request"}
    return RouteKind.WEBSOCKET if is_websocket else RouteKind.HTTP
