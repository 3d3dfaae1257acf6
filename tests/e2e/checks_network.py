"""The egress gate: what passes, what does not, and what it says."""

import json
import urllib.parse

from harness import check, eventually, expect, equal, shortened

PROXY = "http://gate.locki.internal:3128"  # any name would do


@check
def allowed_host_passes(world):
    world.sandbox("t1")
    registry = world.registry or world.sh("t1", "npm config get registry").strip()
    url = urllib.parse.urlsplit(registry)
    ran = world.x("t1", "curl", "-s", "-S", "-f", "-m", "60", "-o", "/dev/null", "-w", "%{http_code}", f"{registry.rstrip('/')}/left-pad")
    equal(ran.text, "200", f"the configured npm registry ({ran.errors.strip()})")
    log = json.loads(world.run("net", "log", "--json").ok("locki net log").text)
    expect(any(entry.get("host") == url.hostname for entry in log), f"the log does not name {url.hostname}")


@check
def refused_host_says_so(world):
    host = "not-allowed.example.org"
    ran = world.x("t1", "curl", "-s", "-m", "20", f"http://{host}/")
    lines = ran.text.strip().splitlines()
    expect(len(lines) == 1 and f"locki net allow {host}" in lines[0], f"a plain request got {shortened(ran.text)!r}")
    ran = world.x("t1", "curl", "-s", "-S", "-m", "20", f"https://{host}/")
    equal(ran.status, 35, "curl's status for a refused TLS handshake")
    expect("access denied" in ran.errors, f"no alert that says why: {shortened(ran.errors)}")
    ran = world.x("t1", "curl", "-s", "-S", "-v", "-m", "20", "-x", PROXY, f"https://{host}/")
    expect("403" in ran.errors, f"no 403: {shortened(ran.errors)}")
    expect(f"locki net allow {host}" in ran.errors + ran.text, f"the answer to CONNECT does not say what to do: {shortened(ran.errors)}")

    def logged():
        entries = json.loads(world.run("net", "log", "--json").ok("locki net log").text)
        return [entry for entry in entries if entry.get("event") == "refused" and entry.get("host") == host]

    eventually(logged, "the refusal in locki net log", every=0.3)
    expect(host in world.run("net", "log").text, "the printed log does not name the host")


@check
def allow_acts_at_once(world):
    # A documentation name: whether it answers does not matter, only that the gate lets it pass and says something else than 403.
    host = "allowed-later.example.org"

    def code():
        return world.x("t1", "curl", "-s", "-m", "40", "-o", "/dev/null", "-w", "%{http_code}", f"http://{host}/").text

    equal(code(), "403", "before")
    expect("refused" in world.run("net", "policy", "--explain", host).ok().text, "explain says it is allowed")
    world.run("net", "allow", host).ok("locki net allow")
    expect(code() != "403", "still refused after locki net allow")
    expect("allowed" in world.run("net", "policy", "--explain", host).ok().text, "explain says it is refused")
    world.run("net", "deny", host).ok("locki net deny")
    equal(code(), "403", "after locki net deny")

