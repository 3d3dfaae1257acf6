"""Real tools of package ecosystems through the gate, none of which knows of a proxy. They are installed in a sandbox, which takes minutes each under emulation, so only
what LOCKI_TEST_TOOLS names is run: any of skopeo,docker,go,cargo,java."""

import os
import subprocess

import registry_site
import tls_site
from checks_network import services, trusted
from harness import Skipped, check, expect, shortened

CHOSEN = [name for name in os.environ.get("LOCKI_TEST_TOOLS", "").split(",") if name]


def through_the_gate(world, tool, packages, script, prefix=""):
    """Installs the packages through the gate, and runs a script that prints "ok" at its end; both behind the words of `prefix`."""
    if tool not in CHOSEN:
        raise Skipped(f"installs {packages}, minutes under emulation: LOCKI_TEST_TOOLS=skopeo,docker,go,cargo,java")
    world.sandbox("t1")
    where = world.home / "registries"
    site = tls_site.Site(where, world.repo, world.git)
    registry_site.cargo(site.pages, tls_site.NAME)
    registry_site.go(site.pages)
    registry_site.images(site.pages)
    try:
        world.sh("t1", f"apt-get -qq update && DEBIAN_FRONTEND=noninteractive {prefix} apt-get -qq -y --no-install-recommends -o Dpkg::Options::=--force-unsafe-io install "
                       f"{packages} >/tmp/apt.log 2>&1 || {{ grep -aiE 'error|cannot|fail' /tmp/apt.log | head -8; tail -5 /tmp/apt.log; exit 1; }}", timeout=1500)
        with services(world, site=site.port), trusted(world, site.authority):
            ran = world.x("t1", *prefix.split(), "sh", "-c", "set -e; rm -rf /tmp/tool; mkdir /tmp/tool; cd /tmp/tool\n" + script.replace("SITE", tls_site.NAME), timeout=400)
            expect(ran.text.split()[-1:] == ["ok"], f"{tool}: {shortened(ran.text + ran.errors)}")
    finally:
        site.close()
        subprocess.run(["rm", "-rf", str(where)], check=True)


@check
def tool_skopeo(world):
    """The protocol of docker pull."""
    through_the_gate(world, "skopeo", "skopeo", """
skopeo --insecure-policy copy -q docker://SITE/tiny:latest dir:image
for layer in image/*; do if tar -xzOf "$layer" hello 2>/dev/null | grep -q 'from an image'; then echo ok; fi; done
""")


@check
def tool_docker(world):
    """A container engine of its own in the sandbox. It knows the test's authority only for that registry, as a company's would be."""
    through_the_gate(world, "docker", "docker.io docker-cli", """
systemctl start docker
mkdir -p /etc/docker/certs.d/SITE && cp /tmp/ca.crt /etc/docker/certs.d/SITE/
docker pull -q SITE/tiny:latest >/dev/null
docker create --name tiny SITE/tiny:latest none >/dev/null
docker cp -q tiny:/hello hello
docker rm tiny >/dev/null
systemctl stop docker docker.socket containerd
grep -q 'from an image' hello && echo ok
""")


@check
def tool_go(world):
    through_the_gate(world, "go", "golang-go", """
export GOPROXY=https://SITE/go GONOSUMDB=* GOSUMDB=off GOFLAGS=-modcacherw HOME=/tmp/tool
go mod init example.org/user >/dev/null 2>&1
go get example.org/tiny@v1.0.0
grep -q 'example.org/tiny v1.0.0' go.mod && test -s go/pkg/mod/example.org/tiny@v1.0.0/tiny.go && echo ok
""")


@check
def tool_cargo(world):
    through_the_gate(world, "cargo", "cargo", """
export CARGO_HOME=/tmp/tool/home
mkdir -p home src && touch src/lib.rs
printf '[source.crates-io]\\nreplace-with = "site"\\n[source.site]\\nregistry = "sparse+https://SITE/cargo/"\\n' >home/config.toml
printf '[package]\\nname = "user"\\nversion = "0.1.0"\\nedition = "2021"\\n[dependencies]\\ntiny = "1"\\n' >Cargo.toml
cargo fetch && ls home/registry/src/*/tiny-1.0.0/src/lib.rs >/dev/null && grep -q 'name = "tiny"' Cargo.lock && echo ok
""")


@check
def tool_java(world):
    """Its own list of authorities, its own HTTP/2 client. On one processor: with several, emulation sometimes runs stale code where a JVM has just written new
    (docs/decisions.md), and it crashes."""
    through_the_gate(world, "java", "default-jdk-headless", """
cat >Get.java <<'E'
import java.net.URI;
import java.net.http.*;
public class Get {
  public static void main(String[] args) throws Exception {
    var request = HttpRequest.newBuilder(URI.create("https://SITE/hello")).build();
    System.out.println(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body().contains("hello") ? "ok" : "no");
  }
}
E
keytool -delete -noprompt -cacerts -storepass changeit -alias locki-test >/dev/null 2>&1 || true
keytool -importcert -noprompt -cacerts -storepass changeit -alias locki-test -file /tmp/ca.crt >/dev/null 2>&1
java Get.java
""", prefix="taskset -c 0")
