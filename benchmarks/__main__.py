"""All benchmarks, one after another: `make bench`, or `make bench ARGS=--quick`.

Each runs in a process of its own, so that none sees what another has compiled.
"""

import subprocess
import sys
from pathlib import Path

SCRIPTS = ("hooks.py", "capture.py", "reporting.py", "detectors.py")


def main() -> int:
    folder = Path(__file__).parent
    status = 0
    for name in SCRIPTS:
        arguments = sys.argv[1:] if name != "capture.py" else []
        print(f"== {name}", flush=True)
        done = subprocess.run([sys.executable, folder / name, *arguments], check=False)
        status = status or done.returncode
    return status


if __name__ == "__main__":
    sys.exit(main())
