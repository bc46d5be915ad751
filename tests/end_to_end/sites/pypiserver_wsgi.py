"""pypiserver as its documentation says to serve it under a WSGI gateway."""

import os

import pypiserver

from obey import open_doors

application = pypiserver.app(roots=[os.environ["PACKAGES"]])
open_doors(globals())
