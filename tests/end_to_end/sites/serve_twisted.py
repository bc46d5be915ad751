"""The same in Twisted's container of WSGI apps."""

import sys

from twisted.internet import reactor
from twisted.web.server import Site
from twisted.web.wsgi import WSGIResource

import edges

resource = WSGIResource(reactor, reactor.getThreadPool(), edges.application)
reactor.listenTCP(int(sys.argv[1]), Site(resource), interface="127.0.0.1")
reactor.run()
