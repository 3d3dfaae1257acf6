"""A server on the host's loopback that speaks what lives longer than a request: WebSockets, server-sent events and HTTP/2, with TLS and without.
Standard library only; just as much of each protocol as its clients need to be satisfied."""

import base64
import contextlib
import hashlib
import socket
import ssl
import struct
import threading
import time

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_KEY = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


def _exactly(stream, size):
    data = b""
    while len(data) < size:
        part = stream.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def _head(stream, first):
    data = first
    while b"\r\n\r\n" not in data and len(data) < 65536:
        part = stream.recv(4096)
        if not part:
            raise EOFError
        data += part
    lines = data.decode("latin-1").split("\r\n")
    headers = dict((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:]))
    return lines[0].split()[1], headers


def _websocket(stream, key):
    """Sends every message back (RFC 6455, section 5)."""
    accept = base64.b64encode(hashlib.sha1((key + _KEY).encode()).digest()).decode()
    stream.sendall(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n".encode())
    while True:
        first, second = _exactly(stream, 2)
        size = second & 127
        if size >= 126:
            size = int.from_bytes(_exactly(stream, 2 if size == 126 else 8), "big")
        mask = _exactly(stream, 4)
        body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(_exactly(stream, size)))
        length = bytes([size]) if size < 126 else b"\x7e" + struct.pack(">H", size)
        stream.sendall(bytes([first]) + length + body)
        if first & 15 == 8:  # close
            return


def _http2(stream):
    """Answers every request with 200 and the number of its stream (RFC 9113, section 4.1). What is asked for is not looked at: that would take HPACK."""
    def frame(kind, flags, number, body=b""):
        stream.sendall(len(body).to_bytes(3, "big") + bytes([kind, flags]) + number.to_bytes(4, "big") + body)

    frame(4, 0, 0)
    while True:
        head = _exactly(stream, 9)
        kind, flags, number = head[3], head[4], int.from_bytes(head[5:9], "big")
        body = _exactly(stream, int.from_bytes(head[:3], "big"))
        if kind == 4 and not flags & 1:
            frame(4, 1, 0)
        elif kind == 6 and not flags & 1:
            frame(6, 1, 0, body)
        elif kind == 7:
            return
        elif kind == 1:
            frame(1, 4, number, b"\x88")  # ":status: 200" of the static table, the end of the headers
            frame(0, 1, number, f"stream {number}\n".encode())


class ProtocolSite:
    def __init__(self, where, quiet_seconds):
        """`where`: site.crt and site.key. Between two events nothing comes for that long."""
        self.quiet = quiet_seconds
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(where / "site.crt", where / "site.key")
        self.tls.set_alpn_protocols(["h2", "http/1.1"])
        self.listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.tls_port, self.plain_port = (listener.getsockname()[1] for listener in self.listeners)
        for listener, secure in zip(self.listeners, (True, False)):
            threading.Thread(target=self._accept, args=(listener, secure), daemon=True).start()

    def _accept(self, listener, secure):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self._serve, args=(connection, secure), daemon=True).start()

    def _serve(self, connection, secure):
        with contextlib.suppress(OSError, EOFError, ValueError), connection:
            stream = self.tls.wrap_socket(connection, server_side=True) if secure else connection
            with stream:
                if secure and stream.selected_alpn_protocol() == "h2":
                    if _exactly(stream, len(_PREFACE)) == _PREFACE:
                        _http2(stream)
                    return
                path, headers = _head(stream, b"")
                if headers.get("upgrade", "").lower() == "websocket":
                    return _websocket(stream, headers["sec-websocket-key"])
                if path == "/events":
                    return self._events(stream)
                stream.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def _events(self, stream):
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n")
        for number in range(3):
            stream.sendall(f"data: event {number}\n\n".encode())
            if number < 2:
                time.sleep(self.quiet / 2 if number else self.quiet)

    def close(self):
        for listener in self.listeners:
            listener.close()
