"""An app under uWSGI, a server in C that shows Python no call of its own."""

import os
import sys
from pathlib import Path

BINARY = Path(sys.executable).with_name("uwsgi")
PORT, MODULE = sys.argv[1:]
os.execv(
    BINARY,
    [
        *(str(BINARY), "--http-socket", f"127.0.0.1:{PORT}", "--module", MODULE),
        *("--master", "--processes", "1", "--enable-threads", "--need-app"),
        *("--die-on-term", "--disable-logging"),
    ],
)
