"""Package registries made of files, as cargo, go and container tools ask them, on the site of tls_site. Each holds one package, `tiny`. Standard library only."""

import gzip
import hashlib
import io
import json
import tarfile
import zipfile


def _write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


def _tar(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()


def cargo(pages, site):
    """A sparse index (doc.rust-lang.org/cargo/reference/registry-index.html)."""
    crate = gzip.compress(_tar({"tiny-1.0.0/Cargo.toml": '[package]\nname = "tiny"\nversion = "1.0.0"\n', "tiny-1.0.0/src/lib.rs": "pub fn x() -> i32 { 1 }\n"}))
    _write(pages / "cargo/config.json", json.dumps({"dl": f"https://{site}/cargo/crates/{{crate}}-{{version}}.crate"}))
    _write(pages / "cargo/ti/ny/tiny", json.dumps({"name": "tiny", "vers": "1.0.0", "deps": [], "cksum": hashlib.sha256(crate).hexdigest(), "features": {}, "yanked": False}) + "\n")
    _write(pages / "cargo/crates/tiny-1.0.0.crate", crate)


def go(pages):
    """The module proxy's protocol (go.dev/ref/mod#goproxy-protocol)."""
    module, at = "module example.org/tiny\n", pages / "go/example.org/tiny/@v"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("example.org/tiny@v1.0.0/go.mod", module)
        archive.writestr("example.org/tiny@v1.0.0/tiny.go", "package tiny\n")
    _write(at / "list", "v1.0.0\n")
    _write(at / "v1.0.0.info", json.dumps({"Version": "v1.0.0", "Time": "2024-01-01T00:00:00Z"}))
    _write(at / "v1.0.0.mod", module)
    _write(at / "v1.0.0.zip", out.getvalue())


def images(pages):
    """A container registry (the OCI distribution specification, pull). Manifests want their own media type: see media_type()."""
    def blob(data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        _write(pages / "v2/tiny/blobs" / digest, data)
        return {"digest": digest, "size": len(data)}

    plain = _tar({"hello": "from an image\n"})
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(plain).hexdigest()]}}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **blob(json.dumps(config).encode())},
                           "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **blob(gzip.compress(plain))}]}).encode()
    _write(pages / "v2/index.html", "{}")
    _write(pages / "v2/tiny/manifests/latest", manifest)
    _write(pages / "v2/tiny/manifests" / ("sha256:" + hashlib.sha256(manifest).hexdigest()), manifest)


MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def media_type(path):
    return MANIFEST if "/manifests/" in path else None
