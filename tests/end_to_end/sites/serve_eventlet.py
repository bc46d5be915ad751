"""The same in eventlet's server."""

import sys

import eventlet
from eventlet import wsgi

import edges

listener = eventlet.listen(("127.0.0.1", int(sys.argv[1])))
wsgi.server(listener, edges.application, log_output=False)
