"""datasette as an ASGI app with one database."""

import os

from datasette.app import Datasette

from obey import open_doors

application = Datasette([os.environ["DATABASE"]]).app()
open_doors(globals())
