"""Where a command's answer goes: a terminal with colours, or plain aligned text.

All text passes through `escape` here and nowhere else, and no text is ever read as
Rich's markup: what apps and servers say is data.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol, TextIO

from remora.cli.escape import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.table import Table as RichTable
    from rich.text import Text

INDENT = "    "


class Span(NamedTuple):
    """A piece of a line, with a style that plain text leaves out."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns. Columns named in `right` hold numbers.

    `verbatim` keeps the names as they are: expressions, not words.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Span, ...]] = field(default_factory=list[tuple[Span, ...]])
    right: frozenset[str] = frozenset()
    verbatim: bool = False

    @property
    def header(self) -> list[str]:
        """The names of the columns as they are shown."""
        names = self.columns if self.verbatim else map(str.upper, self.columns)
        return [escape(name) for name in names]


class Output(Protocol):
    """What a command needs to show something to a person."""

    refreshes: bool
    has_colours: bool

    def line(self, *spans: Span | str) -> None:
        """Print one line."""
        ...

    def table(self, table: Table) -> None:
        """Print a table."""
        ...

    def live(self) -> AbstractContextManager[Callable[[Sequence[Table]], None]]:
        """A region that shows the tables given last, refreshed in place."""
        ...


def open_output(stream: TextIO, environ: Mapping[str, str]) -> Output:
    """Choose by what `stream` is: colours need a terminal that can move its cursor."""
    if not stream.isatty() or environ.get("TERM") == "dumb":
        return PlainOutput(stream)
    try:
        return RichOutput(stream, color=not environ.get("NO_COLOR"))
    except ModuleNotFoundError:
        return PlainOutput(stream)


def print_json(stream: TextIO, value: object) -> None:
    """Write `value` as one line of ASCII JSON, whole at once."""
    stream.write(json.dumps(value) + "\n")
    stream.flush()


class PlainOutput:
    """Aligned text without colours, for pipes and files."""

    refreshes = False
    has_colours = False

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def line(self, *spans: Span | str) -> None:
        """Print one line."""
        text = escape("".join(span_text(span) for span in spans))
        self._stream.write(text.rstrip() + "\n")
        self._stream.flush()

    def table(self, table: Table) -> None:
        """Print a table."""
        rows = [[escape(cell.text) for cell in row] for row in table.rows]
        grid = [table.header, *rows]
        widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
        for row in grid:
            cells = [
                cell.rjust(width) if name in table.right else cell.ljust(width)
                for cell, width, name in zip(row, widths, table.columns, strict=True)
            ]
            self._stream.write("  ".join(cells).rstrip() + "\n")
        self._stream.flush()

    def live(self) -> AbstractContextManager[Callable[[Sequence[Table]], None]]:
        """Prints the tables one after the other: nothing can be taken back."""

        def show(tables: Sequence[Table]) -> None:
            for table in tables:
                self.table(table)

        return nullcontext(show)


class RichOutput:
    """Colours, tables with rules, a live region."""

    refreshes = True

    def __init__(self, stream: TextIO, *, color: bool) -> None:
        from rich.console import Console

        self.has_colours = color
        self._console = Console(
            file=stream,
            no_color=not color,
            markup=False,
            highlight=False,
            emoji=False,
            soft_wrap=False,
        )

    def line(self, *spans: Span | str) -> None:
        """Print one line."""
        from rich.text import Text

        text = Text.assemble(
            *(
                (escape(span_text(span)), span.style if isinstance(span, Span) else "")
                for span in spans
            )
        )
        self._console.print(text, soft_wrap=True)

    def table(self, table: Table) -> None:
        """Print a table."""
        self._console.print(_rich_table(table))

    def live(self) -> AbstractContextManager[Callable[[Sequence[Table]], None]]:
        """A region below what is printed."""
        from rich.console import Group
        from rich.live import Live

        live = Live(console=self._console, auto_refresh=False)

        def show(tables: Sequence[Table]) -> None:
            live.update(Group(*map(_rich_table, tables)), refresh=True)

        return _Entered(live, show)


class _Entered(AbstractContextManager["Callable[[Sequence[Table]], None]"]):
    """Enters one thing and hands out another."""

    def __init__(
        self,
        inner: AbstractContextManager[object],
        show: Callable[[Sequence[Table]], None],
    ) -> None:
        self._inner = inner
        self._show = show

    def __enter__(self) -> Callable[[Sequence[Table]], None]:
        self._inner.__enter__()
        return self._show

    def __exit__(self, *details: object) -> None:
        self._inner.__exit__(*details)  # pyright: ignore[reportArgumentType] - handed on


def span_text(span: Span | str) -> str:
    """The text of a span, without its style."""
    return span.text if isinstance(span, Span) else span


def _rich_table(table: Table) -> RichTable:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    result = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column, name in zip(table.columns, table.header, strict=True):
        right = column in table.right
        header: Text = Text(name)
        result.add_column(header, justify="right" if right else "left", overflow="fold")
    for row in table.rows:
        result.add_row(*(Text(escape(cell.text), style=cell.style) for cell in row))
    return result
