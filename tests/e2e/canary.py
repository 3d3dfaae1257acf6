"""A listener on the host that nobody in a sandbox may reach; it counts who comes."""

import ipaddress
import socket
import threading


class Canary:
    """Listens on every address of the host, IPv4 and IPv6."""

    def __init__(self):
        self.connections = 0
        try:
            self.socket = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError:
            self.socket = socket.create_server(("0.0.0.0", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            try:
                connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\ncanary")
            except OSError:
                pass
            connection.close()

    def close(self):
        self.socket.close()


def own_addresses():
    """The host's addresses as the network sees it."""
    found = []
    for family, far in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:  # sends nothing: only asks which address it would use
                probe.connect((far, 9))
                found.append(probe.getsockname()[0])
        except OSError:
            pass
    return found


def gate_addresses(sandbox_address):
    """Where the gate takes a caller for the sandbox with that address (recipes/vm: net-up)."""
    c, d = map(int, sandbox_address.split(".")[2:])
    first = ipaddress.IPv4Address("198.19.0.0") + 64 * ((c - 1) * 250 + d)
    return [str(first + place) for place in range(64)]
