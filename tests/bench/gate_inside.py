#!/usr/bin/env python3
"""What the gate costs where it is used: gate_inside.py --locki PATH [--rounds N] [--mebibytes N]

Root in the virtual machine downloads from, uploads to and connects to one server program, by turns: directly, where the server listens inside the jail's own network
namespace, and through the gate, where it listens on the host. Both ways go through QEMU's user network, as everything that leaves the machine does. Prints medians and
ratios. A program for people; nothing is asserted.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import harness
from canary import gate_addresses
from vm_root import VmRoot

# "g" and everything comes; "p" and everything is taken, then one byte says so; "c" and one byte comes.
SERVER = """
import socket, sys, threading
size, block = int(sys.argv[1]), bytes(1 << 18)
def serve(peer):
    what = peer.recv(1)
    if what == b"g":
        for _ in range(size // len(block)):
            peer.sendall(block)
    elif what == b"p":
        left = size
        while left > 0:
            got = peer.recv(min(left, 1 << 18))
            if not got:
                return
            left -= len(got)
        peer.sendall(b"k")
    elif what == b"c":
        peer.sendall(b"k")
    peer.close()
server = socket.create_server(("127.0.0.1", 0), backlog=128)
print(server.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""

CONNECTIONS = 30


def start_server(world, size, prefix=()):
    process = subprocess.Popen([*prefix, sys.executable, "-c", SERVER, str(size)], stdout=subprocess.PIPE, text=True)
    world.started.append(process)
    return int(process.stdout.readline())


def measure(root, opened, size):
    """Seconds for a download, an upload and one connection with one byte each way."""
    said = root.sh(f"""
set -e
download() {{ {opened}; printf g >&3; head -c {size} <&3 >/dev/null; exec 3>&-; }}
upload() {{ {opened}; printf p >&3; head -c {size} /dev/zero >&3; head -c 1 <&3 >/dev/null; exec 3>&-; }}
connect() {{ for i in $(seq {CONNECTIONS}); do {opened}; printf c >&3; read -r -N 1 -u 3 x; exec 3>&-; done; }}
for what in download upload connect; do
  begun=$(date +%s%N); $what; ended=$(date +%s%N); echo $((ended - begun))
done
""", seconds=600).split()
    if len(said) != 3 or not all(word.isdigit() for word in said):
        raise harness.Failed("inside: " + " ".join(said)[:400])
    download, upload, connect = (int(word) / 1e9 for word in said)
    return download, upload, connect / CONNECTIONS


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--locki", required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--mebibytes", type=int, default=128)
    options = parser.parse_args()
    size = options.mebibytes << 20
    world = harness.World(options.locki, [])
    root = None
    try:
        outside = start_server(world, size)
        with open(world.config_file, "a") as config:
            config.write(f'"bench.locki.internal" = "127.0.0.1:{outside}"\n')
        world.sandbox("t1")
        inside = start_server(world, size, ["nsenter", "--target", str(world.qemu_pid()), "--user", "--net", "--preserve-credentials"])
        gate = gate_addresses(world.sh("t1", "hostname -I").split()[0])[1]  # where every name leads
        root = VmRoot(world.state / "vm/run/agent.sock")
        ways = {"directly": f"exec 3<>/dev/tcp/10.0.2.2/{inside}",
                # Byte by byte up to the empty line: what follows is the server's.
                "gate": f"exec 3<>/dev/tcp/{gate}/3128; printf 'CONNECT bench.locki.internal:80 HTTP/1.1\\r\\n\\r\\n' >&3; "
                        "while IFS= read -r -u 3 line && [ \"$line\" != $'\\r' ]; do :; done"}
        taken = {way: [] for way in ways}
        for number in range(options.rounds + 1):
            for way, opened in ways.items():
                sample = measure(root, opened, size)
                if number > 0:  # the first round warms up
                    taken[way].append(sample)
        for place, what in enumerate(("download", "upload", "connection")):
            medians = {way: statistics.median(sample[place] for sample in samples) for way, samples in taken.items()}
            spread = ", ".join(f"{way} {min(s[place] for s in samples):.4f} to {max(s[place] for s in samples):.4f} s" for way, samples in taken.items())
            if place < 2:
                print(f"{what}: directly {size / medians['directly'] / 2**20:.0f} MiB/s, through the gate {size / medians['gate'] / 2**20:.0f} MiB/s: "
                      f"{100 * medians['directly'] / medians['gate']:.0f} % ({spread}; n = {options.rounds})")
            else:
                print(f"{what} with a byte each way: directly {medians['directly'] * 1e3:.2f} ms, through the gate {medians['gate'] * 1e3:.2f} ms ({spread})")
    finally:
        if root:
            root.close()
        world.close(False)


if __name__ == "__main__":
    sys.exit(main())
