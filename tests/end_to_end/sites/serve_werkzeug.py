"""The same under Werkzeug's development server, with no framework between."""

import sys

from werkzeug.serving import run_simple

import edges

run_simple("127.0.0.1", int(sys.argv[1]), edges.application, threaded=True)
