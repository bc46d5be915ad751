"""The same under the standard library's server."""

import sys
from wsgiref.simple_server import make_server

import edges

make_server("127.0.0.1", int(sys.argv[1]), edges.application).serve_forever()
