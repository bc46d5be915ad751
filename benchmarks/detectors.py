"""What a check costs at worst: a statement of 1 MiB, 10,000 inputs, one of them in it.

Time is CPU of this thread, the median of the rounds; `first` includes what a request
prepares once for all its checks, `again` is any further check of the same request.

The second table has texts made to be slow, by family: many places, many tokens,
nesting, inputs that overlap, pieces that stand everywhere.

    python benchmarks/detectors.py            # the tables of docs/performance.md
    python benchmarks/detectors.py --quick    # one round
"""

import random
import statistics
import sys
import time
from functools import partial

from remora.detection import Finding, Input, Inputs, NotMade, path, shell, sql, url

SIZE = 1 << 20
COUNT = 10_000
BUDGET_MS = 20
LETTERS = "abcdefghijklmnopqrstuvwxyz -='"
END = " zq OR the last of all'"


def statements():
    rows = ", ".join(f"({n}, 'some text {n}')" for n in range(60_000))
    text = "lorem ipsum dolor sit amet " * 50_000
    for name, body in (
        ("one long literal", f"INSERT INTO t VALUES ('{text[: SIZE - 60]}"),
        ("rows of small ones", f"INSERT INTO t VALUES {rows[: SIZE - 60]}, '"),
    ):
        yield name, body + "'" + END


def inputs(length, chance):
    texts = {"".join(chance.choices(LETTERS, k=length)) + "-" for _ in range(COUNT - 1)}
    return [Input(text, "body", "f") for text in [*texts, END]]


def took(judge, argument, given):
    start = time.thread_time()
    verdict = judge(argument, given)
    return (time.thread_time() - start) * 1000, verdict


def repeated(piece):
    """A text of the full size, with a token of its own at the end."""
    return "SELECT " + piece * (SIZE // len(piece)) + "x'y"


def hostile():
    """Family, what is odd about it, judge, argument, texts of inputs."""
    sqlite, postgresql, mysql = (
        partial(sql.judge, dialect=name) for name in ("sqlite", "postgresql", "mysql")
    )
    words = " ".join(f"w-{number}" for number in range(24_000))
    climbs = "/srv/" + "".join(f"x{number}/../y/" for number in range(6000))
    values = ",".join(f"'value-{number}'" for number in range(60_000))
    hosts = "".join(f"h{number}." for number in range(9000))
    chance = random.Random(2)
    short = {"".join(chance.choices("ab-", k=5)) + "a" for _ in range(240)}
    for judge, name in ((sqlite, "sqlite"), (postgresql, "pg"), (mysql, "mysql")):
        for piece in ("'", "\\'", "$a$", "/*", "/**/", "--\n", "- ", "0x", ".", "?"):
            yield "sql", f"{name}, only {piece!r}", judge, repeated(piece), ["x'y"]
    yield "sql", "comparisons", sqlite, repeated("a=b,"), ["w", "x y"]
    chain = ["x" + ".a" * number for number in range(100, 2099)]
    yield "sql", "inputs that overlap", sqlite, "SELECT x" + ".a" * 20_000, chain
    bulk = [f"value-{number}" for number in range(50_000, 51_900)]
    yield "sql", "1,900 inputs occur", sqlite, values, bulk
    yield "sql", "short inputs of its letters", sqlite, repeated("ab-"), [*short]
    same = ["a" * 20 + f"-{number}" for number in range(COUNT)]
    yield "sql", "one piece everywhere", sqlite, repeated("a"), same
    yield "shell", "many words", shell.judge, f"echo {words};z", [";z"]
    inside = [f" w-{number}" for number in range(10_000, 11_999)]
    yield "shell", "inputs at 1,999 places", shell.judge, f"tar {words}", inside
    chain = ["x " + "a " * number for number in range(100, 2099)]
    yield "shell", "inputs that overlap", shell.judge, "echo x " + "a " * 3000, chain
    tar = ["tar", *["-Cx"] * 4998]
    options = [f"-{number}x/" for number in range(COUNT)]
    yield "shell", "5,000 options", shell.judge_arguments, tar, options
    climbing = [f"x{number}/.." for number in range(1999)]
    yield "path", "inputs at 1,999 places", path.judge, climbs[:60_000], climbing
    nowhere = [f"../z{number}" for number in range(COUNT)]
    yield "path", "64 KiB, none occurs", path.judge, climbs[:60_000], nowhere
    inside = [f"h{number}." for number in range(1999)]
    yield "url", "a host of 9,000 labels", url.judge, f"http://{hosts}", inside
    yield "url", "many @", url.judge, "http://" + "a@" * 30_000, ["a@a"]


def show_hostile(rounds):
    print("\n| family | text | first, ms | again, ms | verdict |")
    print("|---|---|---:|---:|---|")
    for family, name, judge, argument, texts in hostile():
        first, again, verdict = [], [], None
        for _ in range(rounds):
            given = Inputs([Input(text, "body", "f") for text in texts])
            first.append(took(judge, argument, given)[0])
            ms, verdict = took(judge, argument, given)
            again.append(ms)
        kind = verdict.reason if isinstance(verdict, NotMade) else "made"
        figures = statistics.median(first), statistics.median(again)
        mark = " (over)" if max(figures) > BUDGET_MS else ""
        shown = " | ".join(f"{figure:.1f}" for figure in figures)
        print(f"| {family} | {name} | {shown}{mark} | {kind} |")


def main() -> int:
    rounds = 1 if "--quick" in sys.argv else 7
    chance = random.Random(1)
    print(
        "| statement | dialect | length of inputs | first, ms | again, ms | verdict |"
    )
    print("|---|---|---:|---:|---:|---|")
    for name, statement in statements():
        for dialect in ("sqlite", "postgresql", "mysql"):
            for length in (4, 10, 40):
                texts = inputs(length, chance)
                first, again, verdict = [], [], None
                for _ in range(rounds):
                    given = Inputs(texts)
                    judge = partial(sql.judge, dialect=dialect)
                    first.append(took(judge, statement, given)[0])
                    ms, verdict = took(judge, statement, given)
                    again.append(ms)
                kind = "found" if isinstance(verdict, Finding) else "not made"
                kind = kind if verdict else "nothing"
                figures = statistics.median(first), statistics.median(again)
                mark = " (over)" if figures[1] > BUDGET_MS else ""
                print(
                    f"| {name} | {dialect} | {length} | {figures[0]:.1f} "
                    f"| {figures[1]:.1f}{mark} | {kind} |"
                )
    show_hostile(rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
