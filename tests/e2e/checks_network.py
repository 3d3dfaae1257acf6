"""The egress gate: what passes, what does not, and what it says."""

import contextlib
import json
import socket
import subprocess
import threading
import time
import urllib.parse

import protocol_site
import tls_site
from canary import gate_addresses
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



@contextlib.contextmanager
def services(world, **ports):
    """Names under .locki.internal for ports of the host's loopback, for as long as the block lasts."""
    config = world.home / ".config/locki/config.toml"
    before = config.read_text()
    config.write_text(before + "".join(f'"{name}.locki.internal" = "127.0.0.1:{port}"\n' for name, port in ports.items()))
    try:
        world.run("net", "deny", "--always", "reads-the-config.example.org").ok("locki net deny")
        yield
    finally:
        config.write_text(before)


@contextlib.contextmanager
def trusted(world, authority, name="t1"):
    """Tools in that sandbox trust the test CA for as long as the block lasts."""
    world.run("x", name, "--", "sh", "-c", "cat >/tmp/ca.crt; cp /etc/ssl/certs/ca-certificates.crt /tmp/all.crt; cat /tmp/ca.crt >>/etc/ssl/certs/ca-certificates.crt",
              input=authority.encode()).ok("the test CA")
    try:
        yield
    finally:
        world.x(name, "cp", "/tmp/all.crt", "/etc/ssl/certs/ca-certificates.crt")


# Each prints "ok" when it has got through; none knows of a proxy.
TOOLS = {
    "curl": "curl -sS -m 60 https://SITE/hello | grep -q 'hello from the site' && echo ok",
    "curl, http1.0 and close": "curl -sS -m 60 --http1.0 https://SITE/hello | grep -q hello && echo ok",
    "a large download": "test $(curl -sS -m 120 https://SITE/big | sha256sum | cut -d' ' -f1) = DIGEST && echo ok",
    "wget": "wget -q -T 60 -O - https://SITE/hello | grep -q hello && echo ok",
    "git": "cd /tmp && rm -rf cloned && git clone -q https://SITE/project.git cloned && test -s cloned/README && echo ok",
    "npm": "test \"$(npm --registry https://SITE/npm/ view tiny version)\" = 1.2.3 && echo ok",
    "pip": "cd /tmp && rm -f tiny-*.whl && pip --disable-pip-version-check -q download --no-deps --index-url https://SITE/simple/ tiny && ls tiny-1.0* >/dev/null && echo ok",
    "python": "python3 -c \"import urllib.request as u; print('ok' if b'hello' in u.urlopen('https://SITE/hello', timeout=60).read() else 'no')\"",
    "node": "node -e \"fetch('https://SITE/hello').then(r => r.text()).then(t => console.log(t.includes('hello') ? 'ok' : t))\"",
    "a proxy": "curl -sS -m 60 -x PROXY https://SITE/hello | grep -q hello && echo ok",
    "a SOCKS proxy": "curl -sS -m 60 -x socks5h://gate.locki.internal:3128 https://SITE/hello | grep -q hello && echo ok",
}


@check
def tools_need_no_proxy(world):
    world.sandbox("t1")
    equal(world.sh("t1", "env | grep -ci _proxy= || true").strip(), "0", "proxy variables inside")
    site = tls_site.Site(world.home / "site", world.repo, world.git)
    try:
        with services(world, site=site.port), trusted(world, site.authority):
            for tool, script in TOOLS.items():
                script = script.replace("SITE", tls_site.NAME).replace("PROXY", PROXY).replace("DIGEST", site.digest)
                ran = world.x("t1", "sh", "-c", script, timeout=200)
                expect(ran.text.strip() == "ok", f"{tool}: {shortened(ran.text + ran.errors)}")
        world.notes.append(", ".join(TOOLS))
    finally:
        site.close()
        subprocess.run(["rm", "-rf", str(world.home / "site")], check=True)


# For so long nothing is said: longer than a handshake may take at the gate (GateLimits::head_time).
QUIET = 32

WEBSOCKET = """
const [url, quiet] = process.argv.slice(1), said = [];
const s = new WebSocket(url), more = ['one', 'x'.repeat(3000), 'after the silence'];
s.onopen = () => s.send(more[0]);
s.onmessage = e => {
  said.push(e.data);
  if (said.length == more.length) return s.close();
  setTimeout(() => s.send(more[said.length]), said.length == 2 ? quiet * 1000 : 0);
};
s.onerror = e => console.log('error', e.message);
s.onclose = () => console.log(said.join() == more.join() ? 'ok' : 'got ' + said.join().slice(0, 200));
"""

HTTP2 = """
const c = require('http2').connect('https://SITE'), got = [];
c.on('error', e => console.log(String(e)));
for (let i = 0; i < 5; i++) {
  const r = c.request({':path': '/' + i});
  let text = '';
  r.on('data', d => text += d).on('end', () => {
    got.push(text.trim());
    if (got.length == 5) { console.log(got.sort().join() == 'stream 1,stream 3,stream 5,stream 7,stream 9' ? 'ok' : got.join()); c.close(); }
  });
}
"""

# As TOOLS; they run at the same time.
LONG_LIVED = {
    "wss": "node --experimental-websocket -e \"$WEBSOCKET\" wss://SITE/chat QUIET",
    "ws": "node --experimental-websocket -e \"$WEBSOCKET\" ws://PLAIN/chat QUIET",
    "events": "test \"$(curl -sSN -m 120 --http1.1 https://SITE/events | grep -c '^data: event')\" = 3 && echo ok",
    "plain events": "test \"$(curl -sSN -m 120 http://PLAIN/events | grep -c '^data: event')\" = 3 && echo ok",
    "HTTP/2 of node": "node -e \"$HTTP2\"",
    "HTTP/2 of curl": "test \"$(curl -sS -m 90 --http2 --parallel -w '%{http_version} ' -o /dev/null -o /dev/null -o /dev/null https://SITE/a https://SITE/b https://SITE/c)\" = '2 2 2 ' && echo ok",
    "HTTP/2 through the proxy": "curl -sS -m 90 --http2 -x PROXY https://SITE/ | grep -q '^stream 1$' && echo ok",
    "a hello in pieces": "openssl s_client -connect SITE:443 -servername SITE -groups X25519MLKEM768:X25519 -brief </dev/null 2>&1 | grep -q 'TLSv1.3' && echo ok",
}


@check
def long_lived_protocols(world):
    world.sandbox("t1")
    where = world.home / "protocols"
    where.mkdir()
    tls_site.certificates(where)
    site = protocol_site.ProtocolSite(where, QUIET)
    script = "".join(f"( {one} ) >/tmp/out.{number} 2>&1 &\n" for number, one in enumerate(LONG_LIVED.values())) + \
        f"wait; for n in $(seq 0 {len(LONG_LIVED) - 1}); do tr '\\n' ' ' </tmp/out.$n; echo; done"
    script = script.replace("SITE", tls_site.NAME).replace("PLAIN", "plain.locki.internal").replace("PROXY", PROXY).replace("QUIET", str(QUIET))
    try:
        with services(world, site=site.tls_port, plain=site.plain_port), trusted(world, (where / "ca.crt").read_text()):
            begun = time.monotonic()
            said = world.x("t1", "env", f"WEBSOCKET={WEBSOCKET}", f"HTTP2={HTTP2.replace('SITE', tls_site.NAME)}", "sh", "-c", script, timeout=200).text.splitlines()
            wrong = [f"{name}: {shortened(text)}" for name, text in zip(LONG_LIVED, said) if text.split()[-1:] != ["ok"]]
            expect(len(said) == len(LONG_LIVED) and not wrong, "; ".join(wrong) or f"{said}")
            expect(time.monotonic() - begun > QUIET, "nothing was silent for long enough")
            world.notes.append(", ".join(LONG_LIVED))
    finally:
        site.close()
        subprocess.run(["rm", "-rf", str(where)], check=True)


class Greeter:
    """A server that speaks first, in a protocol in which nobody says a name."""

    def __init__(self, words):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._greet, args=(words.encode(),), daemon=True).start()

    def _greet(self, words):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.server.accept()
                connection.sendall(words)
                connection.close()

    def close(self):
        self.server.close()


@check
def other_protocols_by_name(world):
    """Two databases on one port: the name that was looked up decides. On port 8443, too, at which Incus listens in the machine."""
    world.sandbox("t1")
    one, two = Greeter("welcome to one"), Greeter("welcome to two")
    greeting = "python3 -c \"import socket; print(socket.create_connection(('{}.locki.internal', {}), 20).recv(100).decode())\""
    try:
        with services(world, one=one.port, two=two.port):
            # A service is at any port that some rule or service names.
            begun = time.monotonic()
            world.run("net", "allow", "db.example.org:5432", "t1").ok("locki net allow HOST:PORT")
            world.notes.append(f"net allow HOST:PORT {time.monotonic() - begun:.1f} s")
            world.run("net", "allow", "web.example.org:8443", "t1").ok("locki net allow HOST:8443")
            for name, port in (("one", 5432), ("two", 5432), ("two", 8443)):
                equal(world.sh("t1", greeting.format(name, port)).strip(), f"welcome to {name}", f"what the server said first on port {port}")
            addresses = world.sh("t1", "getent ahostsv4 one.locki.internal two.locki.internal; for n in one.locki.internal two.locki.internal db.example.org x.db.example.org; do "
                                       "getent ahostsv4 $n | head -1 | cut -d' ' -f1; done").split()[-4:]
            equal(len(set(addresses)), 4, f"addresses of their own: {addresses}")
            equal(addresses[3], "198.18.0.1", "a name beneath one with an address of its own")
            # A sandbox without that rule has no business at the same address.
            world.sandbox("t2")
            ran = world.x("t2", "curl", "-sS", "-m", "20", "http://db.example.org:5432/")
            expect("not on the allow list" in ran.text, f"another sandbox at the same address: {shortened(ran.text + ran.errors)}")
    finally:
        one.close()
        two.close()


@check
def names_are_there_at_once(world):
    """From the command's begin until a program inside resolves the name to an address of its own."""
    world.sandbox("t1")
    greeter = Greeter("welcome")
    port = greeter.port
    program = ("import socket, sys, time\nfor name in sys.stdin:\n begun = time.time()\n while True:\n  at = socket.gethostbyname(name.strip())\n"
               "  if at != '198.18.0.1' or time.time() - begun > 20: break\n  time.sleep(0.02)\n print(at, flush=True)\n")
    inside = world.begin("x", "t1", "--", "python3", "-uc", program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    times, commands = [], []
    try:
        for number in range(6):
            name = f"n{number}.at-once.example.org"
            begun = time.monotonic()
            inside.stdin.write(name.encode() + b"\n")
            inside.stdin.flush()
            world.run("net", "allow", f"{name}:{port}", "t1").ok("locki net allow HOST:PORT")
            commands.append(time.monotonic() - begun)
            at = inside.stdout.readline().decode().strip()
            times.append(time.monotonic() - begun)
            expect(at.startswith("198.18.0.") and at != "198.18.0.1", f"{name} has the address {at}")
        world.notes.append("net allow HOST:PORT until the name is there: " + ", ".join(f"{each:.2f}" for each in times) + " s; the command: " + ", ".join(f"{each:.2f}" for each in commands) + " s")
        told = [line for line in (world.state / "daemon.log").read_text().splitlines() if "named by Incus" in line]
        expect(not told, f"names went the slow way: {told}")
    finally:
        inside.kill()
        greeter.close()


@check
def each_sandbox_has_its_own_rules(world):
    world.sandbox("t1")
    world.sandbox("t2")
    host = "for-t1-only.example.org"

    def code(name, *more):
        return world.x(name, "curl", "-s", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}", *more, f"http://{host}/").text

    equal((code("t1"), code("t2")), ("403", "403"), "before")
    world.run("net", "allow", host, "t1").ok("locki net allow HOST NAME")
    expect(code("t1") != "403", "the rule of t1 does not hold for t1")
    equal(code("t2"), "403", "the rule of t1 in t2")
    expect("allowed" in world.run("net", "policy", "--explain", host, "t1").ok().text, "explain for t1")
    expect("refused" in world.run("net", "policy", "--explain", host, "t2").ok().text, "explain for t2")
    # t2 tries to be t1: from its address, and at the gate's address of t1.
    own, other = (world.sh(name, "hostname -I").split()[0] for name in ("t2", "t1"))
    spoofed = world.sh("t2", f"ip addr add {other}/32 dev eth0; curl -s -m 8 --interface {other} -o /dev/null -w '%{{http_code}}' http://{host}/; echo; ip addr del {other}/32 dev eth0")
    equal(spoofed.strip(), "000", f"t2 ({own}) with the address of t1 ({other})")
    at_gate = gate_addresses(other)[1]
    ran = world.x("t2", "curl", "-s", "-m", "8", "-H", f"Host: {host}", f"http://{at_gate}/")
    equal(ran.status, 7, "t2 calling the gate by the address of t1")
    named = {entry["sandbox"] for entry in json.loads(world.run("net", "log", "--json", "-n", "500", "t1").ok().text)}
    equal(named, {"t1"}, "the sandboxes in the log of t1")


def udp_sockets(world):
    """Inodes of those that QEMU's network holds for the guest."""
    with open(f"/proc/{world.qemu_pid()}/net/udp") as file:
        return {line.split()[9] for line in file.read().splitlines()[1:]}


@check
def names_are_answered_inside(world):
    script = """
import socket, struct
def ask(name, kind):
    question = b''.join(bytes([len(part)]) + part.encode() for part in name.split('.')) + b'\\0' + struct.pack('>HH', kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        s.sendto(struct.pack('>HHHHHH', 7, 0x100, 1, 0, 0, 0) + question, ('10.77.0.1', 53))
        reply = s.recv(600)
    return reply[3] & 15, struct.unpack('>H', reply[6:8])[0], reply[-4:]
for kind in (1, 28, 16, 15, 33, 65, 12):
    code, answers, last = ask('c2VjcmV0.x7f3a.example.org', kind)
    print(kind, code, answers, socket.inet_ntoa(last) if answers else '')
"""
    before = udp_sockets(world)
    said = world.sh("t1", f"python3 - <<'E'\n{script}\nE").strip().splitlines()
    equal(said[0], "1 0 1 198.18.0.1", "an address")
    for line in said[1:]:
        expect(line.split()[1:] == ["0", "0"], f"a question of another kind was answered: {line}")
    equal(udp_sockets(world) - before, set(), "UDP sockets that the questions made in the network of the machine")


@check
def everything_else_fails_at_once(world):
    script = """
import errno, socket, time
def attempt(what, family, kind, address, data=b'x'):
    begun = time.time()
    try:
        with socket.socket(family, kind) as s:
            s.settimeout(8)
            s.connect(address)
            if kind == socket.SOCK_DGRAM:
                s.send(data)
                s.recv(100)
        print(what, 'PASSED')
    except OSError as error:
        print(what, 'slow' if time.time() - begun > 4 else 'fast', errno.errorcode.get(error.errno, error))
inet, six, tcp, udp = socket.AF_INET, socket.AF_INET6, socket.SOCK_STREAM, socket.SOCK_DGRAM
attempt('quic', inet, udp, ('198.18.0.1', 443))
attempt('dns', inet, udp, ('192.0.2.53', 53))
attempt('dns of the card', inet, udp, ('10.0.2.3', 53))
attempt('raw', inet, tcp, ('192.0.2.1', 443))
attempt('metadata', inet, tcp, ('169.254.169.254', 80))
attempt('card', inet, tcp, ('10.0.2.2', 3128))
attempt('incus', inet, tcp, ('10.0.2.2', 8443))
attempt('no listener', inet, tcp, ('198.18.0.1', 4444))
attempt('gate of another', inet, tcp, ('198.19.0.1', 3128))
attempt('six', six, tcp, ('2001:db8::1', 443))
attempt('six quic', six, udp, ('2001:db8::1', 443))
"""
    said = world.sh("t1", f"python3 - <<'E'\n{script}\nE", timeout=120).strip().splitlines()
    equal(len(said), 11, "attempts")
    for line in said:
        expect(" fast " in line, f"{line}; all: {said}")


@check
def asks_before_it_refuses(world):
    host = "asked-for.example.org"

    def answer(letter):
        watch = world.begin("net", "watch", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        codes = []
        waiting = threading.Thread(target=lambda: codes.append(
            world.x("t1", "curl", "-s", "-m", "60", "-o", "/dev/null", "-w", "%{http_code}", f"http://{host}/").text))
        waiting.start()
        try:
            asked = watch.stdout.read(len(f"t1 wants to reach {host}:80"))
            equal(asked.decode(), f"t1 wants to reach {host}:80", "the question")
            watch.stdin.write(letter + b"\n")
            watch.stdin.flush()
            begun = time.monotonic()
            waiting.join(50)
            world.notes.append(f"answered {letter.decode()}: {time.monotonic() - begun:.1f} s")
            expect(codes, "curl still waits")
            return codes[0]
        finally:
            watch.kill()

    world.run("net", "mode", "ask", "t1").ok("locki net mode")
    try:
        equal(answer(b"d"), "403", "after no")
        world.run("net", "allow", "--once", "x-" + host, "t1").ok()
        host = "then-" + host
        expect(answer(b"o") != "403", "after once")
        rules = world.run("net", "policy", "t1").ok().text
        expect(f"allow {host}:80" in rules and "once, for t1" in rules, f"the rules: {shortened(rules)}")
    finally:
        world.run("net", "mode", "default", "t1").ok("locki net mode default")


@check
def audit_tells_the_life(world):
    world.x("t1", "/bin/echo", "an-argument-that-is-nobodys-business").ok()
    entries = json.loads(world.run("audit", "t1", "--json", "-n", "1000").ok("locki audit").text)
    events = [entry["event"] for entry in entries]
    for event in ("created", "command", "mirror"):
        expect(event in events, f"no {event} in the audit log: {events}")
    expect(any(entry.get("program") == "echo" for entry in entries), "the program is not named")
    expect("nobodys-business" not in json.dumps(entries), "an argument is in the audit log")
    world.run("net", "allow", "--once", "audited.example.org", "t1").ok()
    printed = world.run("audit", "t1").ok().text
    expect("allow audited.example.org" in printed, "a network grant is not in the log")


@check
def a_repository_may_only_wish(world):
    """What locki.toml of the base commit names is closed until it is granted; what the sandbox writes into it counts for nothing."""
    host, denied = "wished-for.example.org", "denied-wish.example.org"
    tree = world.home / "wishing"
    world.git("worktree", "add", "-q", "--detach", str(tree))
    try:
        (tree / "locki.toml").write_text(f'[net]\nallow = ["{host}", "{denied}"]\n')
        world.git("add", "locki.toml", at=tree)
        world.git("commit", "-q", "-m", "Wish", at=tree)
        commit = world.git("rev-parse", "HEAD", at=tree)
    finally:
        world.git("worktree", "remove", "--force", str(tree))
    world.run("net", "deny", denied).ok("locki net deny")
    told = world.run("new", "wisher", "--from", commit, timeout=600).ok("locki new --from").errors
    expect(f"reach {host};" in told and "locki net grant wisher" in told, f"locki new does not tell the wish: {shortened(told)}")

    def code(target):
        return world.x("wisher", "curl", "-s", "-m", "40", "-o", "/dev/null", "-w", "%{http_code}", f"http://{target}/").text

    def states():
        wishes = json.loads(world.run("net", "wishes", "wisher", "--json").ok("locki net wishes").text)["wishes"]
        return {wish["rule"]: wish["state"] for wish in wishes}

    try:
        equal((code(host), code(denied)), ("403", "403"), "before the grant")
        equal(states(), {host: "open", denied: "denied"}, "the states before")
        world.sh("wisher", "printf '[net]\\nallow = [\"from-inside.example.org\"]\\n' > locki.toml && git add locki.toml && git commit -q -m Widen")
        world.run("stop", "wisher").ok("locki stop")
        world.run("start", "wisher", timeout=600).ok("locki start")
        equal(states(), {host: "open", denied: "denied"}, "the states after the sandbox has committed another list")
        world.run("net", "grant", "wisher").ok("locki net grant")
        equal(states(), {host: "granted", denied: "denied"}, "the states after the grant")
        expect(code(host) != "403", "still refused after the grant")
        equal(code(denied), "403", "what the user had denied")
        expect(f"allow {host}" in world.run("audit", "wisher").ok().text, "the grant is not in the audit log")
    finally:
        world.run("remove", "wisher", "--force", "--delete-branch", timeout=300)
