"""How long a text field may be and what it may hold. Knows nothing of HTTP or files."""

TEXT_BYTES = {
    "event_id": 128,
    "request_id": 128,
    "client": 64,
    "action": 64,
    "locale": 64,
    "experiment": 64,
}
"""Bounds of the text fields that requests and events carry, in bytes of UTF-8."""


def text_fault(value: str, most: int) -> str:
    """Why a text cannot be stored, in a few words; empty when it can: valid Unicode, at most `most` bytes of UTF-8."""
    if len(value) > most:
        return f"longer than {most} bytes"
    if value.isascii():  # nearly every text, and told without a copy
        return ""
    try:
        encoded = value.encode()
    except UnicodeEncodeError:
        return "not valid Unicode (a surrogate without its pair)"
    if len(encoded) > most:
        return f"longer than {most} bytes"
    return ""


def field_fault(name: str, value: object) -> str:
    """`text_fault` of a named field of TEXT_BYTES; a null is fine, another type is not."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return "expected text"
    return text_fault(value, TEXT_BYTES[name])
