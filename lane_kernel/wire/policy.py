"""What an endpoint does of its own accord, and what it insists on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """The politeness of an endpoint; each part can be switched off, to teach what it is for.

    Attributes:
        is_strict: A broken rule fails the connection. Otherwise it becomes a `Finding`, and reading goes on as far as
            bytes make sense; the bounds hold all the same.
        answers_pings: A Ping is answered by a Pong.
        echoes_close: The peer's Close is answered by one.
        checks_utf8: Text that is not UTF-8 breaks a rule, in what comes and in what is sent. Otherwise it is str with
            surrogates in the place of wrong bytes, as `surrogateescape` makes them.
        checks_masks: A client's frame without a mask, and a server's with one, break a rule.
        masks: A client masks its frames.
        compresses: A message is compressed where permessage-deflate was agreed, unless it is said otherwise for that
            message.
    """

    is_strict: bool = True
    answers_pings: bool = True
    echoes_close: bool = True
    checks_utf8: bool = True
    checks_masks: bool = True
    masks: bool = True
    compresses: bool = True


POLITE = Policy()
"""Everything that the RFC asks for."""
