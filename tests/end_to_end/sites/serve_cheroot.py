"""The same under the server of CherryPy."""

import sys

from cheroot.wsgi import Server

import edges

Server(("127.0.0.1", int(sys.argv[1])), edges.application).start()
