"""How gunicorn serves the shop."""

workers = 2
# Newer versions would put a socket into the home folder.
control_socket_disable = True
