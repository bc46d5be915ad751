"""The same as a generator function: nothing of it runs before a part is asked for."""

from edges import application as eager


def application(environ, start_response):
    parts = eager(environ, start_response)
    try:
        yield from parts
    finally:
        if hasattr(parts, "close"):
            parts.close()
