"""What a check costs at worst: a statement of 1 MiB, 10,000 inputs, one of them in it.

Time is CPU of this thread, the median of the rounds; `first` includes what a request
prepares once for all its checks, `again` is any further check of the same request.

    python benchmarks/detectors.py            # the table of docs/performance.md
    python benchmarks/detectors.py --quick    # one round
"""

import random
import statistics
import sys
import time

from remora.detection import Finding, Input, Inputs, sql

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


def took(statement, given, dialect):
    start = time.thread_time()
    verdict = sql.judge(statement, given, dialect)
    return (time.thread_time() - start) * 1000, verdict


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
                    first.append(took(statement, given, dialect)[0])
                    ms, verdict = took(statement, given, dialect)
                    again.append(ms)
                kind = "found" if isinstance(verdict, Finding) else "not made"
                kind = kind if verdict else "nothing"
                figures = statistics.median(first), statistics.median(again)
                mark = " (over)" if figures[1] > BUDGET_MS else ""
                print(
                    f"| {name} | {dialect} | {length} | {figures[0]:.1f} "
                    f"| {figures[1]:.1f}{mark} | {kind} |"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
