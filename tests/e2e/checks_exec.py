"""Sessions: with pipes byte-exact, with a terminal as if it were local."""

import hashlib
import io
import os
import signal
import subprocess
import tarfile
import time

from harness import check, equal, eventually, expect
from terminal import Terminal


@check
def streams_and_status(world):
    world.sandbox("t1")
    ran = world.x("t1", "sh", "-c", "echo to-out; echo to-err >&2; exit 7")
    equal((ran.status, ran.out, ran.err), (7, b"to-out\n", b"to-err\n"), "status, stdout and stderr")
    equal(world.x("t1", "sh", "-c", "kill -9 $$").status, 137, "the status of a killed command")
    ran = world.x("t1", "no-such-program")
    equal((ran.status, ran.errors), (127, "locki: no-such-program: not found inside\n"), "a missing program")
    ran = world.x("t1", "sh", "-c", "seq 50000; no-such-program")
    equal((ran.status, len(ran.out), ran.errors.count("locki")), (127, 288894, 0), "output of a script that ends with 127")
    equal(world.x("t1", "/etc/passwd").status, 126, "the status of what is no program")
    equal(world.x("t1", "cat").out, b"", "cat of an empty stdin ends")
    equal(world.x("t1", "printf", "%s|", "a b", "", "*", "'", '"', "$HOME", "ü\n").out, "a b||*|'|\"|$HOME|ü\n|".encode(), "arguments")
    times = [world.x("t1", "true").ok().seconds for _ in range(5)]
    world.notes.append(f"exec {sorted(times)[2]:.2f} s")
    ran = world.run("x", "no-such", "--", "true")
    equal(ran.status, 125, "the status when locki itself fails")
    expect("no-such" in ran.errors, f"the message names the sandbox: {ran.errors}")


@check
def tar_through_stdin(world):
    packed = io.BytesIO()
    contents = {f"d{i % 7}/f{i}": os.urandom(i * 37) for i in range(300)}
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, data in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    world.x("t1", "sh", "-c", "rm -rf /tmp/in && mkdir /tmp/in").ok()
    world.x("t1", "tar", "x", "-C", "/tmp/in", input=packed.getvalue()).ok("tar c | locki x t1 -- tar x")
    back = world.x("t1", "tar", "c", "-C", "/tmp/in", ".").ok()
    with tarfile.open(fileobj=io.BytesIO(back.out)) as archive:
        got = {m.name[2:]: archive.extractfile(m).read() for m in archive if m.isfile()}
    expect(got == contents, "the files that came back differ")


@check
def binary_stdin(world):
    data = os.urandom(5_000_000) + bytes(range(256)) * 100
    equal(world.x("t1", "sha256sum", input=data).text.split()[0], hashlib.sha256(data).hexdigest(), "the checksum of stdin")
    expect(world.x("t1", "cat", input=data).out == data, "there and back differs")


@check
def hundred_megabytes(world):
    size = 100 << 20
    local, remote = hashlib.sha256(), hashlib.sha256()
    # Every line is different, so that a lost, doubled or moved block shows.
    script = f"seq 1000000000 1009999999 | head -c {size}"
    begun, count = time.monotonic(), 0
    inside = world.begin("x", "t1", "--", "sh", "-c", script, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    while block := inside.stdout.read(1 << 20):
        remote.update(block)
        count += len(block)
    equal(inside.wait(60), 0, "the status")
    seconds = time.monotonic() - begun
    local.update("".join(f"{i}\n" for i in range(1000000000, 1009999999 + 1)).encode()[:size])
    equal(count, size, "bytes")
    equal(remote.hexdigest(), local.hexdigest(), "the checksum of 100 MB of output")
    world.notes.append(f"{size / seconds / 1e6:.0f} MB/s")


@check
def reader_that_leaves(world):
    inside = world.begin("x", "t1", "--", "cat", "/dev/zero", stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    head = subprocess.run(["head", "-c", "200M"], stdin=inside.stdout, stdout=subprocess.PIPE, timeout=240)
    equal(len(head.stdout), 200 << 20, "bytes that head got")
    inside.stdout.close()
    inside.wait(30)
    eventually(lambda: world.x("t1", "pgrep", "-x", "cat").status == 1, "cat inside is gone", timeout=30, every=1)


@check
def signals_pass(world):
    inside = world.begin("x", "t1", "--", "sh", "-c", "trap 'echo caught; exit 9' TERM; echo ready; while :; do sleep 0.2; done",
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    equal(inside.stdout.readline(), b"ready\n", "the command runs")
    inside.send_signal(signal.SIGTERM)
    equal((inside.stdout.read(), inside.wait(20)), (b"caught\n", 9), "what the command did with SIGTERM")


def on_terminal(world, *argv, **size):
    # A prompt that is easy to see, and none of the shell's own escape sequences between answers.
    shell = argv or ("bash", "--norc", "--noprofile")
    return Terminal([world.locki, "x", "t1", "--", *shell], world.env, world.repo, **size)


def prompt(terminal):
    terminal.type("PS1='@''@ '; bind 'set enable-bracketed-paste off'\r")
    terminal.wait_for(r"@@ ")


@check
def terminal_size(world):
    terminal = on_terminal(world, rows=40, columns=100)
    try:
        prompt(terminal)
        terminal.type("stty size\r")
        terminal.wait_for(r"\n40 100\r")
        terminal.size(51, 123)
        time.sleep(1)
        terminal.type("stty size\r")
        terminal.wait_for(r"\n51 123\r")
        terminal.type("tty; echo $TERM\r")
        terminal.wait_for(r"/dev/pts/\d+\r\nxterm-256color")
        terminal.type("exit 5\r")
        equal(terminal.wait(), 5, "the exit status")
        equal(terminal.modes_now(), terminal.modes, "terminal modes at the end")
    finally:
        terminal.close()


@check
def terminal_jobs_and_keys(world):
    terminal = on_terminal(world)
    try:
        prompt(terminal)
        terminal.type("sleep 100\r")
        time.sleep(1)
        terminal.type("\x03")
        terminal.wait_for(r"@@ ")
        terminal.type("echo status=$?\r")
        terminal.wait_for(r"\nstatus=130\r")
        terminal.type("sleep 100\r")
        time.sleep(1)
        terminal.type("\x1a")
        terminal.wait_for(r"Stopped")
        terminal.type("bg; jobs\r")
        terminal.wait_for(r"\[1\]\+\s+Running\s+sleep 100")
        terminal.type("kill %1; wait; fg\r")
        terminal.wait_for(r"no such job|no current job|Terminated|current: no such")
        terminal.type("printf '%s' 'grün漢🙂' | od -An -tx1\r")
        terminal.wait_for(r"\n 67 72 c3 bc 6e e6 bc a2 f0 9f 99 82\r")
        terminal.type("cat\r")
        time.sleep(0.5)
        terminal.type("grün漢🙂\r")
        terminal.wait_for(r"grün漢🙂\r\ngrün漢🙂\r\n")
        terminal.type("\x04")
        terminal.wait_for(r"@@ ")
        terminal.type("exit\r")
        equal(terminal.wait(), 0, "the exit status")
    finally:
        terminal.close()


@check
def terminal_restored_after_kill(world):
    terminal = on_terminal(world)
    try:
        prompt(terminal)
        terminal.type("sleep 4321\r")
        time.sleep(1)
        expect(terminal.modes_now() != terminal.modes, "the terminal never was in raw mode")
        terminal.process.send_signal(signal.SIGKILL)
        terminal.process.wait()
        eventually(lambda: terminal.modes_now() == terminal.modes, "terminal modes after kill -9 of the command", timeout=5)
        eventually(lambda: world.x("t1", "pgrep", "-f", "sleep 432[1]").status == 1, "the command inside ends with its terminal", timeout=30, every=1)
    finally:
        terminal.close()
