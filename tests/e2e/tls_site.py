"""A web site on the host's loopback with a certificate of a test CA: what tools in a sandbox fetch through the gate. Standard library and openssl."""

import base64
import functools
import hashlib
import http.server
import io
import json
import os
import pathlib
import ssl
import subprocess
import threading
import zipfile

import registry_site

NAME = "site.locki.internal"


def certificates(where):
    """ca.crt, and site.crt and site.key for NAME."""
    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, cwd=where)

    (where / "ext").write_text(f"subjectAltName=DNS:{NAME}\nbasicConstraints=CA:FALSE\n")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=locki test CA",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "site.key", "-out", "site.csr", "-subj", f"/CN={NAME}")
    openssl("x509", "-req", "-in", "site.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", "site.crt", "-days", "2", "-extfile", "ext")


def _wheel():
    """The smallest package that pip takes."""
    files = {"tiny.py": "x = 1\n", "tiny-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
             "tiny-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    record = "".join(f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},{len(text)}\n" for name, text in files.items())
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in {**files, "tiny-1.0.dist-info/RECORD": record + "tiny-1.0.dist-info/RECORD,,\n"}.items():
            archive.writestr(name, text)
    return out.getvalue()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def guess_type(self, path):
        return registry_site.media_type(str(path)) or ("application/json" if "/npm/" in str(path) else super().guess_type(path))


class Site:
    def __init__(self, where, repository, git):
        where = pathlib.Path(where)
        where.mkdir()
        certificates(where)
        self.authority = (where / "ca.crt").read_text()
        self.pages = pages = where / "pages"
        (pages / "simple/tiny").mkdir(parents=True)
        (pages / "npm").mkdir()
        (pages / "hello").write_text("hello from the site\n")
        (pages / "big").write_bytes(os.urandom(1 << 20) * 8)
        (pages / "tiny-1.0-py3-none-any.whl").write_bytes(_wheel())
        (pages / "simple/tiny/index.html").write_text('<a href="/tiny-1.0-py3-none-any.whl">tiny-1.0-py3-none-any.whl</a>')
        (pages / "npm/tiny").write_text(json.dumps({"name": "tiny", "dist-tags": {"latest": "1.2.3"}, "versions": {"1.2.3": {"name": "tiny", "version": "1.2.3"}}}))
        git("clone", "-q", "--bare", str(repository), str(pages / "project.git"))
        git("update-server-info", at=pages / "project.git")
        self.digest = hashlib.sha256((pages / "big").read_bytes()).hexdigest()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(pages)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(where / "site.crt", where / "site.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
