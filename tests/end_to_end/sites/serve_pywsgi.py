"""The same under gevent's own server."""

import sys

from gevent import monkey

monkey.patch_all()

from gevent.pywsgi import WSGIServer  # noqa: E402 - after the patching

import edges  # noqa: E402 - the same

WSGIServer(("127.0.0.1", int(sys.argv[1])), edges.application, log=None).serve_forever()
