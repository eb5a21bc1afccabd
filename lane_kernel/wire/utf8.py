"""UTF-8 that comes in pieces, and the place of the first byte that keeps it from being UTF-8.

Source: RFC 3629 §4; RFC 6455 §8.1.
"""

from __future__ import annotations

import codecs

_Decoder = codecs.getincrementaldecoder("utf-8")


class Utf8Checker:
    """Checks text in pieces of any size, and fails at the first wrong byte, however the text is cut.

    Attributes:
        rest: Bytes that are no text so far: a character that is cut short; or, once a byte is wrong, that and the piece
            it stands in.
    """

    def __init__(self) -> None:
        """Begin before the text's first byte."""
        self.rest = b""
        self._decoder = _Decoder()
        self._texts: list[str] = []

    def check(self, data: bytes) -> int | None:
        """Check the next piece.

        Returns:
            The place in data of the first wrong byte, or None where there is none. After a wrong byte nothing more can
            be checked.
        """
        waiting = self.rest
        try:
            text = self._decoder.decode(data)
        except UnicodeDecodeError as error:
            self.rest = waiting + data
            return wrong_byte(error) - len(waiting)
        if text:
            self._texts.append(text)
        self.rest = self._decoder.getstate()[0]
        return len(data) - 1 if _is_half_a_surrogate(self.rest) else None

    @property
    def text(self) -> str:
        """The text so far, without the rest."""
        return "".join(self._texts)

    @property
    def is_whole(self) -> bool:
        """Whether the text could end here: no character is cut short."""
        return not self.rest


def wrong_byte(error: UnicodeDecodeError) -> int:
    """The place of the byte that is wrong; an "invalid continuation byte" is the one after those that Python names."""
    return error.end if error.reason == "invalid continuation byte" else error.start


def first_wrong_byte(data: bytes, *, is_whole: bool = True) -> int | None:
    """Find the first byte that keeps data from being UTF-8.

    Args:
        data: The text's bytes.
        is_whole: Whether the text ends with them; otherwise its last character may be cut short.

    Returns:
        The byte's place in data; the last one where the text's last character is cut short; None where all is UTF-8.
    """
    checker = Utf8Checker()
    where = checker.check(data)
    if where is None and is_whole and not checker.is_whole:
        return len(data) - 1
    return where


def _is_half_a_surrogate(rest: bytes) -> bool:
    # CPython's decoder waits for a third byte after ED A0 to ED BF, although none makes it a character.
    return len(rest) == 2 and rest[0] == 0xED and rest[1] >= 0xA0
