"""What a sandbox cannot see or reach."""

import os
import pathlib
import socket
import subprocess

from canary import Canary, gate_addresses, own_addresses
from harness import SECRET, check, equal, expect, shortened
from vm_root import VmRoot


@check
def not_root_outside(world):
    world.sandbox("t1")
    inside = world.sh("t1", "id -u; cat /proc/self/uid_map /proc/self/gid_map").split("\n")
    equal(inside[0], "0", "the user inside")
    for line in inside[1:]:
        if line.split():
            first, outside, _ = map(int, line.split())
            expect(outside >= 65536 and outside != first, f"the id map is {line.strip()}")
    second = world.sandbox("t2")
    expect(second.is_dir(), "no second worktree")
    maps = {world.sh(name, "cat /proc/self/uid_map").split()[1] for name in ("t1", "t2")}
    equal(len(maps), 2, "different id ranges of two sandboxes")


@check
def no_host_files(world):
    mounts = world.sh("t1", "cat /proc/self/mountinfo")
    for kind in ("9p", "virtiofs", "nfs", "nfs4", "cifs", "fuse.sshfs", "vboxsf"):
        expect(f" - {kind} " not in mounts, f"a {kind} mount inside")
    sources = {line.split(" - ")[1].split()[1] for line in mounts.splitlines() if line.split(" - ")[1].split()[0] in ("ext4", "btrfs", "xfs", "erofs", "overlay")}
    expect(sources <= {"/dev/vdb"}, f"disks other than the data disk: {sources}")
    marker = world.home / "only-on-the-host"
    marker.write_text(SECRET)
    for path in (marker, world.repo, world.state, world.home / ".gitconfig", world.home / ".config"):
        equal(world.x("t1", "test", "-e", str(path)).status, 1, f"{path} inside")
    # The worktree's parents exist inside, with nothing in them but the way to the worktree.
    found = world.sh("t1", f"find {world.home} -path '*/worktrees/*/t1/*' -prune -o -type f -print | head")
    equal(found, "", "files of the host's home inside")
    equal(world.sh("t1", "ls -A /dev | grep -E '^(vd|sd|nvme|kvm|mem|vhost)' || true"), "", "devices inside")


@check
def environment_stays(world):
    env = dict(world.env, AWS_SECRET_ACCESS_KEY=SECRET, GITHUB_TOKEN=SECRET, SSH_AUTH_SOCK="/tmp/" + SECRET, TZ="Europe/Berlin")
    inside = world.run("x", "t1", "--", "env", env=env).ok().text
    expect(SECRET not in inside and "GITHUB_TOKEN" not in inside and "SSH_AUTH_SOCK" not in inside, "a secret of the environment crossed")
    expect("TZ=Europe/Berlin" in inside and "LANG=C.UTF-8" in inside, "the time zone or language did not cross")
    everything = world.x("t1", "sh", "-c", "cat /proc/*/environ /proc/*/cmdline 2>/dev/null").text
    expect(SECRET not in everything, "a secret of the host in a process inside")


def curl(world, url, proxy):
    """What curl inside gets from url: (its exit status, the page)."""
    way = ["-p", "--noproxy", "", "-x", "http://gate.locki.internal:3128"] if proxy == "connect" else ["--noproxy", "", "-x", "http://gate.locki.internal:3128"] if proxy == "get" else ["--noproxy", "*"]
    return way + ["-g", "-s", "-S", "-k", "-m", "6", url]


@check
def host_out_of_reach(world):
    canary = Canary()
    try:
        with socket.create_connection(("127.0.0.1", canary.port)) as control:
            control.recv(10)
        equal(canary.connections, 1, "the canary counts")
        model = world.x("t1", "curl", "-s", "-m", "20", "http://model.locki.internal/").ok("the model's service, which is named in the config")
        equal(model.text, "{}", "the model's answer: the way out works")
        own = own_addresses()
        targets = ["127.0.0.1", "localhost", "127.1", "2130706433", "0.0.0.0", "10.0.2.2", "10.0.2.15", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", socket.gethostname()]
        targets += [f"[{one}]" if ":" in one else one for one in own]
        world.notes.append("tried " + " ".join(targets))
        # Even a rule that the user wrote opens no loopback address.
        for host in ("127.0.0.1", "localhost"):
            world.run("net", "allow", f"{host}:*").ok("locki net allow")
        words = []
        for target in targets:
            for way in ("connect", "get", "direct"):
                if way == "direct" and target in ("localhost", "127.0.0.1", "127.1", "2130706433", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]"):
                    continue  # the container's own
                port = canary.port if target != "169.254.169.254" else 80
                quoted = " ".join("'" + word + "'" for word in curl(world, f"http://{target}:{port}/", way))
                words.append(f"(curl {quoted} >/tmp/out.{len(words)} 2>&1; echo $? >>/tmp/out.{len(words)}) &")
        answers = world.sh("t1", "rm -f /tmp/out.*; " + "\n".join(words) + "\nwait; cat /tmp/out.*", timeout=200)
        expect("canary" not in answers, f"a page of the host was read: {answers}")
        equal(canary.connections, 1, "connections to the host's listener")
        metadata = world.x("t1", "curl", "-s", "-m", "6", "-o", "/dev/null", "-w", "%{http_code}", "http://169.254.169.254/latest/meta-data/").text
        expect(metadata in ("000", "403", "502"), f"the metadata address answered {metadata}")
    finally:
        canary.close()
        for host in ("127.0.0.1", "localhost"):
            world.run("net", "deny", f"{host}:*")


@check
def host_out_of_reach_for_root_in_the_machine(world):
    """After an escape from a container, with the VM's own packet filter gone: the gate and the jail's empty network remain."""
    world.sandbox("t1")
    canary, datagrams = Canary(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("0.0.0.0", 0))
    datagrams.setblocking(False)
    root = VmRoot(world.state / "vm/run/agent.sock")
    try:
        expect(root.sh("id -u").strip() == "0", "the guest agent's commands do not run as root")
        world.run("net", "allow", "127.0.0.1:*").ok("locki net allow")
        root.sh("nft delete table inet locki; sysctl -qw net.ipv6.conf.all.disable_ipv6=0; ip -6 addr add 2001:db8::2/64 dev eth0; ip -6 route add default via fe80::2 dev eth0")
        # Straight at everything: TCP, UDP.
        direct = ["127.0.0.1", "10.0.2.2", "10.0.2.3", "10.0.2.4", "169.254.169.254", "192.168.0.1", "172.17.0.1", "1.1.1.1", "198.19.0.1", "fe80::2%eth0", "2001:db8::1", "fd00::1", "::1", *own_addresses()]
        words = []
        for target in direct:
            for port in (canary.port, 53, 80, 443, 22):
                if target == "127.0.0.1" or (target == "::1"):
                    continue  # its own
                words.append(f"(timeout 4 bash -c 'exec 3<>/dev/tcp/{target}/{port} && printf \"GET / HTTP/1.0\\r\\n\\r\\n\" >&3 && cat <&3' 2>/dev/null | tr -d '\\0' | sed 's/^/{target} {port} /') &")
            words.append(f"(echo x >/dev/udp/{target}/{datagrams.getsockname()[1]}) 2>/dev/null")
            words.append(f"timeout 4 bash -c 'exec 3<>/dev/udp/{target}/53; printf \"\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\7example\\3org\\0\\0\\1\\0\\1\" >&3; head -c1 <&3 >/dev/null && echo DNS ANSWERS at {target}' 2>/dev/null &")
        said = root.sh("\n".join(words) + "\nwait")
        expect("canary" not in said and "DNS ANSWERS" not in said and "SSH" not in said, f"something answered: {shortened(said)}")
        # As any sandbox, to the gate: what no rule can allow stays out of reach, and rules hold.
        asked = []
        targets = ["127.0.0.1", "localhost", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "10.0.2.2", "192.168.0.1", "not-allowed.example.org"]
        targets += [f"[{one}]" if ":" in one else one for one in own_addresses()]
        for at in (*gate_addresses(world.sh("t1", "hostname -I").split()[0])[:3], "198.19.0.1", "198.19.255.255", "10.0.2.2"):
            for target in targets:
                asked.append(f"(timeout 8 bash -c 'exec 3<>/dev/tcp/{at}/3128 && printf \"CONNECT {target}:{canary.port} HTTP/1.1\\r\\n\\r\\n\" >&3 && head -c 300 <&3' 2>/dev/null | head -1 | sed 's/^/{at} {target} /') &")
        said = root.sh("\n".join(asked) + "\nwait")
        expect(" 200 " not in said, f"the gate let it pass: {shortened(said)}")
        expect(said.count(" 403 ") >= len(targets), f"the gate did not say no to the name of t1: {shortened(said)}")
        equal(canary.connections, 0, "connections to the host's listener")
        try:
            equal(datagrams.recv(100), b"", "a datagram on the host")
        except BlockingIOError:
            pass
        world.notes.append(f"{len(words)} attempts directly, {len(asked)} through the gate")
    finally:
        root.sh("ip -6 addr del 2001:db8::2/64 dev eth0; ip -6 route del default; /usr/lib/locki/net-up")
        root.close()
        datagrams.close()
        canary.close()
        world.run("net", "deny", "127.0.0.1:*")
    equal(world.x("t1", "curl", "-s", "-m", "20", "http://model.locki.internal/").ok("the way out afterwards").text, "{}", "the model's answer")


@check
def other_sandboxes_out_of_reach(world):
    world.sandbox("t2")
    address = world.sh("t2", "hostname -I").split()[0]
    server = world.begin("x", "t2", "--", "python3", "-m", "http.server", "9123", "-d", "/etc/apt", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        own = "for i in $(seq 60); do curl -s --noproxy '*' -m 2 -o /dev/null http://" + address + ":9123/ && exit 0; sleep 0.5; done; exit 1"
        world.x("t2", "sh", "-c", own).ok("the sandbox's own server")
        ran = world.x("t1", "curl", "-s", "--noproxy", "*", "-m", "6", f"http://{address}:9123/")
        expect(ran.status in (7, 28), f"the other sandbox answered: curl {ran.status} {ran.text[:100]}")
        ran = world.x("t1", "curl", "-s", "-S", "-f", "-m", "6", "--noproxy", "", "-x", "http://gate.locki.internal:3128", f"http://{address}:9123/")
        expect(ran.status != 0 and "sources.list" not in ran.text, "the other sandbox was reached through the gate")
        ran = world.x("t1", "ping", "-c", "1", "-W", "2", address)
        expect(ran.status != 0, "the other sandbox answers pings")
    finally:
        server.terminate()


@check
def incus_out_of_reach(world):
    for address in ("10.77.0.1", "10.0.2.15"):
        for port in (8443, 22):
            ran = world.x("t1", "curl", "-k", "-s", "-S", "--noproxy", "*", "-m", "6", f"https://{address}:{port}/1.0")
            expect(ran.status in (7, 28), f"{address}:{port} answered: curl {ran.status} {ran.text[:100]}")
    ran = world.x("t1", "sh", "-c", "curl -s -m 5 --unix-socket /dev/incus/sock http://x/1.0")
    expect('"api_version"' not in ran.text or '"config"' not in ran.text, "the guest API gives out the configuration")
    equal(world.x("t1", "test", "-S", "/var/lib/incus/unix.socket").status, 1, "Incus' own socket inside")


@check
def direct_network_closed(world):
    for target, wanted in (("https://1.1.1.1/", 7), ("http://[2001:db8::1]/", 7), ("https://10.0.2.3:53/", 7), ("https://not-allowed.example.org/", 35), ("http://not-allowed.example.org/", 22)):
        ran = world.x("t1", "curl", "-k", "-s", "-f", "-m", "8", target)
        equal(ran.status, wanted, f"curl's status for {target}")
    for target in ("1.1.1.1", "198.18.0.1", "10.0.2.2"):
        ran = world.x("t1", "ping", "-n", "-c", "1", "-W", "3", target)
        expect(ran.status != 0, f"{target} answers pings: {shortened(ran.text)}")


@check
def machine_is_jailed(world):
    expect(world.qemu_pid(), "no QEMU runs")
    jailed(world, world.qemu_pid())
    jailed(world, world.jail_pid())


def jailed(world, pid):
    status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    for key, wanted in (("CapEff", 0), ("CapPrm", 0), ("CapInh", 0), ("CapAmb", 0), ("CapBnd", 0)):
        equal(int(status[key], 16), wanted, key)
    equal(status["NoNewPrivs"].strip(), "1", "NoNewPrivs")
    equal(status["Seccomp"].strip(), "2", "Seccomp")
    for namespace in ("user", "mnt", "net", "pid", "ipc", "uts"):
        expect(os.readlink(f"/proc/{pid}/ns/{namespace}") != os.readlink(f"/proc/self/ns/{namespace}"), f"QEMU is in our {namespace} namespace")
    links = [line.split(":")[0].strip() for line in pathlib.Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]]
    equal(links, ["lo"], "links in QEMU's network namespace")
    root = pathlib.Path(f"/proc/{pid}/root")
    for path in (world.home, world.repo, pathlib.Path.home() / ".ssh"):
        expect(not os.path.lexists(str(root) + str(path)), f"QEMU sees {path}")
    equal([one for one in os.listdir(root / "home")] if (root / "home").is_dir() else [], [], "homes that QEMU sees")
    mounts = pathlib.Path(f"/proc/{pid}/mountinfo").read_text()
    for line in mounts.splitlines():
        source, target = line.split()[3:5]
        inside = source.startswith(str(world.home))
        expect(not inside or source.endswith("/data.img"), f"a path of the home is mounted in the jail: {source} on {target}")
    expect(SECRET.encode() not in pathlib.Path(f"/proc/{pid}/environ").read_bytes(), "the host's environment is QEMU's")


@check
def limits_hold(world):
    """Disk, memory and processes of a sandbox, set in the config: it meets its limits, and nobody else does."""
    world.sandbox("t1")
    world.run("remove", "--force", "small")  # of an attempt before
    config = world.config_file.read_text()
    world.config_file.write_text(config + '\n[sandbox]\ndisk = "1GiB"\nmemory = "512MiB"\nprocesses = 128\n')
    try:
        world.run("new", "small").ok("locki new small")
    finally:
        world.config_file.write_text(config)
    ran = world.x("small", "sh", "-c", "head -c 3G /dev/urandom > /root/fill; sync", timeout=600)
    size = int(world.sh("small", "stat -c %s /root/fill"))
    expect(ran.status != 0 or size < 3 << 30, "3 GiB fit into a disk of 1 GiB")
    expect(size < 1.2 * (1 << 30), f"{size >> 20} MiB fitted into a disk of 1 GiB")
    expect("quota" in ran.errors or "space" in ran.errors, f"it says {shortened(ran.errors)!r}")
    world.sh("small", "rm /root/fill")
    world.x("t1", "sh", "-c", "head -c 8M /dev/zero > /root/fits && rm /root/fits").ok("another sandbox's disk")
    equal(world.sh("small", "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max").split(), [str(512 << 20), "128"], "memory and processes")
    ran = world.x("small", "sh", "-c", "for i in $(seq 300); do sleep 20 & done; wait", timeout=120)
    expect("fork" in ran.errors or "resource" in ran.errors.lower(), f"300 processes within 128: {shortened(ran.errors)!r}")
    world.run("remove", "--force", "small").ok("locki remove")
