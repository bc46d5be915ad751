"""Make a picture of a terminal from the text that a command printed.

remora demo --check | python docs/images/render.py 'remora demo --check' > demo.svg
"""

import sys
from html import escape

CHARACTER_WIDTH = 8.43
LINE_HEIGHT = 20
MARGIN = 18
BAR = 34
COLOURS = {"ok  ": "#7fd18b", "FAIL": "#ff7b72"}

FRAME = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img" \
aria-label="{label}" font-family="ui-monospace, Menlo, Consolas, monospace" \
font-size="14">
<rect width="100%" height="100%" rx="8" fill="#10202b"/>
<circle cx="20" cy="18" r="5.5" fill="#ff5f57"/>
<circle cx="38" cy="18" r="5.5" fill="#febc2e"/>
<circle cx="56" cy="18" r="5.5" fill="#28c840"/>
{lines}
</svg>"""


def draw_line(number: int, line: str) -> str:
    """One line of text; the word that it starts with may have a colour."""
    y = BAR + MARGIN + number * LINE_HEIGHT
    head, rest = line[:4], line[4:]
    colour = COLOURS.get(head)
    if colour is None:
        body = escape(line)
    else:
        body = f'<tspan fill="{colour}">{head}</tspan>{escape(rest)}'
    return (
        f'<text x="{MARGIN}" y="{y}" fill="#dbe7ec" xml:space="preserve">{body}</text>'
    )


def draw(command: str, output: str) -> str:
    """The whole picture."""
    lines = [f"$ {command}", *output.rstrip().splitlines()]
    return FRAME.format(
        width=2 * MARGIN + CHARACTER_WIDTH * max(map(len, lines)),
        height=BAR + MARGIN + len(lines) * LINE_HEIGHT,
        label=escape("Terminal: " + "; ".join(lines), quote=True),
        lines="\n".join(draw_line(number, line) for number, line in enumerate(lines)),
    )


if __name__ == "__main__":
    print(draw(sys.argv[1], sys.stdin.read()))
