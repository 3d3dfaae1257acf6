"""What is killed comes back; what was done stays. These come last: they end the machine."""

import json
import os
import signal
import subprocess
import time

from harness import alive, check, equal, eventually, expect, shortened
from vm_root import VmRoot

LOGIN = {"claudeAiOauth": {"accessToken": "fake-access", "refreshToken": "fake-refresh", "expiresAt": 4102444800000, "scopes": ["user:inference"],
                           "subscriptionType": "max"}}


@check
def killed_command(world):
    world.sandbox("t1")
    process = world.begin("x", "t1", "--", "sh", "-c", "echo ready; exec sleep 1234", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    equal(process.stdout.readline(), b"ready\n", "the command runs")
    eventually(lambda: world.entry("t1")["sessions"] == 1, "one session is listed", every=0.2)
    process.kill()
    process.wait()
    eventually(lambda: world.entry("t1")["sessions"] == 0, "the session is over", every=0.2)
    eventually(lambda: world.x("t1", "pgrep", "-f", "sleep 123[4]").status == 1, "its process inside ends", timeout=30, every=1)


@check
def killed_daemon(world):
    worktree = world.sandbox("t1")
    machine, daemon = world.qemu_pid(), world.daemon_pid()
    session = world.begin("x", "t1", "--", "sh", "-c", "echo up; sleep 3; echo while-away > while-away.txt; sleep 4; echo still-here",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    equal(session.stdout.readline(), b"up\n", "the session's beginning")
    workers = world.workers()
    os.kill(daemon, signal.SIGKILL)
    eventually(lambda: not any(alive(pid) for pid in workers), "the workers end with their daemon", timeout=15, every=0.2)
    # The session does not go through the daemon: it lives on.
    out, err = session.communicate(timeout=60)
    equal((session.returncode, out, err), (0, b"still-here\n", b""), "the session that ran meanwhile")
    ran = world.x("t1", "echo", "back", timeout=120).ok("the next command")
    world.notes.append(f"next command {ran.seconds:.1f} s")
    expect(world.daemon_pid() not in (None, daemon), "no new daemon")
    equal(world.qemu_pid(), machine, "the machine that goes on")
    eventually(lambda: (worktree / "while-away.txt").exists(), "a file written meanwhile", timeout=20)
    world.sh("t1", "rm while-away.txt; echo after > after.txt")
    eventually(lambda: (worktree / "after.txt").exists() and not (worktree / "while-away.txt").exists(), "the mirror goes on")
    world.sh("t1", "rm after.txt")
    equal(world.x("t1", "curl", "-s", "-m", "20", "http://model.locki.internal/").text, "{}", "the network after the daemon's death")


@check
def upgraded_while_running(world):
    """A sandbox that runs on with the programs of an earlier version gets this one's: its mirror goes on, and so does what runs in it."""
    worktree = world.sandbox("t1")
    endpoint = "/usr/local/lib/locki/endpoint"
    world.sh("t1", f"rm {endpoint}; printf '#!/bin/sh\\nexit 7\\n' > {endpoint}; chmod +x {endpoint}; setsid sleep 4321 > /dev/null 2>&1 < /dev/null & sleep 1")
    world.kill_daemon()
    for file in (world.state / "sandboxes").glob("*/record.json"):
        record = json.loads(file.read_text())
        if record["name"] == "t1":
            expect(record["programs"], "the record does not say which programs are inside")
            file.write_text(json.dumps(record | {"programs": "of an earlier version"}))
    world.x("t1", "sh", "-c", "echo through > upgraded.txt", timeout=120).ok("the first command of the new version")
    eventually(lambda: (worktree / "upgraded.txt").exists(), "a file of a sandbox that was upgraded", timeout=30)
    world.sh("t1", f"pgrep -f 'sleep 432[1]' && ! grep -q 'exit 7' {endpoint} && pkill -f 'sleep 432[1]'; rm upgraded.txt")
    world.sync("t1")
    brought = world.sh("t1", f"stat -c '%i %z' {endpoint}")
    world.kill_daemon()
    equal(world.sh("t1", f"stat -c '%i %z' {endpoint}"), brought, "the programs of this version, at a further start")


@check
def killed_daemon_while_opening(world):
    """A command that is not through its beginning yet takes the next daemon."""
    world.sandbox("t1")
    world.x("t1", "true").ok("before")
    daemon = world.daemon_pid()
    session = world.begin("x", "t1", "--", "echo", "through", stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    time.sleep(0.02)
    os.kill(daemon, signal.SIGKILL)
    out, err = session.communicate(timeout=120)
    equal((session.returncode, out), (0, b"through\n"), f"the command (it said {err!r})")


@check
def killed_worker(world):
    worktree = world.sandbox("t1")
    world.x("t1", "true").ok("before")  # which starts the mirror if the last check left none
    before = world.workers()
    expect(before, "no worker runs")
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    world.sh("t1", "echo w > worker.txt")
    (worktree / "worker-in.txt").write_text("w\n")
    _, seconds = eventually(lambda: (worktree / "worker.txt").exists(), "a file from inside", timeout=30)
    world.notes.append(f"{seconds:.1f} s")
    world.sync("t1")
    equal(world.sh("t1", "cat worker-in.txt"), "w\n", "a file from the host")
    (worktree / "worker.txt").unlink()
    (worktree / "worker-in.txt").unlink()
    world.sync("t1")


@check
def killed_endpoint(world):
    worktree = world.sandbox("t1")
    world.x("t1", "pkill", "-9", "-f", "locki.*endpoint|endpoint --")
    world.sh("t1", "echo e > endpoint.txt")
    eventually(lambda: (worktree / "endpoint.txt").exists(), "a file from inside", timeout=30)
    world.sh("t1", "rm endpoint.txt")
    world.sync("t1")


def survives(world, worktree, what):
    begun = time.monotonic()
    ran = world.x("t1", "sh", "-c", "cat /root/persistent; cat before.txt", timeout=900)
    ran.ok(f"the next command after {what}")
    world.notes.append(f"next command {time.monotonic() - begun:.1f} s")
    equal(ran.text.splitlines()[:2], ["persistent", "before"], f"files inside after {what}")
    (worktree / "after-it.txt").write_text("a\n")
    world.sync("t1")
    equal(world.sh("t1", "cat after-it.txt"), "a\n", "the mirror in")
    world.sh("t1", "rm after-it.txt")
    eventually(lambda: not (worktree / "after-it.txt").exists(), "the mirror out")


@check
def killed_machine(world):
    worktree = world.sandbox("t1")
    world.sh("t1", "echo persistent > /root/persistent; sync; echo before > before.txt; sync")
    world.sync("t1")
    pid = world.qemu_pid()
    session = world.begin("x", "t1", "--", "sleep", "900", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    time.sleep(1)
    os.kill(pid, signal.SIGKILL)
    equal(session.wait(60) != 0, True, "a session ends with the machine")
    (worktree / "while-dead.txt").write_text("d\n")
    survives(world, worktree, "kill -9 of QEMU")
    expect(world.qemu_pid() not in (None, pid), "no new machine")
    equal(world.sh("t1", "cat while-dead.txt"), "d\n", "a file the user wrote meanwhile")
    (worktree / "while-dead.txt").unlink()
    world.sync("t1")


@check
def killed_container(world):
    """Every process of the container dies at once, by the machine's kernel."""
    worktree = world.sandbox("t1")
    world.sh("t1", "echo persistent > /root/persistent; echo before > before.txt; sync")
    world.sync("t1")
    container = world.sh("t1", "hostname").strip()
    session = world.begin("x", "t1", "--", "sleep", "900", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    time.sleep(1)
    root = VmRoot(world.state / "vm/run/agent.sock")
    try:
        said = root.sh(f"echo 1 > /sys/fs/cgroup/lxc.payload.{container}/cgroup.kill && echo killed")
        expect("killed" in said, f"the container is not killed: {shortened(said)}")
    finally:
        root.close()
    equal(session.wait(60) != 0, True, "a session ends with the container")
    (worktree / "while-dead.txt").write_text("d\n")
    survives(world, worktree, "the container's death")
    equal(world.sh("t1", "cat while-dead.txt"), "d\n", "a file the user wrote meanwhile")
    (worktree / "while-dead.txt").unlink()
    world.sync("t1")


@check
def stopped_machine(world):
    worktree = world.sandbox("t1")
    world.sh("t1", "echo persistent > /root/persistent; echo before > before.txt; echo last > last.txt")
    ran = world.run("vm", "stop", timeout=200).ok("locki vm stop")
    world.notes.append(f"stop {ran.seconds:.1f} s")
    expect(world.qemu_pid() is None, "QEMU still runs")
    expect((worktree / "last.txt").exists(), "the last file did not come out before the stop")
    equal(json.loads(world.run("vm", "status", "--json").ok().text)["pid"], 0, "the pid of no machine")
    survives(world, worktree, "locki vm stop")
    world.sh("t1", "rm last.txt")
    world.sync("t1")


@check
def deleted_machine(world):
    if "claude" in world.agents:
        world.run("claude", "t1", "--", "--version", timeout=900).ok("claude")
        world.x("t1", "sh", "-c", "mkdir -p ~/.claude && umask 077 && cat > ~/.claude/.credentials.json", input=json.dumps(LOGIN).encode()).ok()
        stored = world.data / "home/.claude/.credentials.json"
        eventually(stored.exists, "the login on the host at the session's end")
        equal(json.loads(stored.read_text()), LOGIN, "the stored login")
        equal(stored.stat().st_mode & 0o777, 0o600, "the mode of the stored login")
    worktree = world.sandbox("t1")
    world.sh("t1", "echo uncommitted > uncommitted.txt; echo committed > committed.txt; git add committed.txt; git commit -q -m Last")
    world.sync("t1")
    tip = world.git("rev-parse", "t1")
    world.run("vm", "delete", "--force", timeout=200).ok("locki vm delete")
    expect(world.qemu_pid() is None, "QEMU still runs")
    expect(not (world.state / "vm/data.img").exists(), "the data disk is still there")
    equal(world.machine_state(), "golden", "the state after it")
    ran = world.x("t1", "sh", "-c", "git rev-parse HEAD; cat uncommitted.txt committed.txt; ls /root/persistent 2>/dev/null", timeout=1200)
    world.notes.append(f"next command {ran.seconds:.1f} s")
    equal(ran.text.split(), [tip, "uncommitted", "committed"], f"the sandbox made anew ({ran.errors[-300:]})")
    equal((worktree / "uncommitted.txt").read_text(), "uncommitted\n", "the file on the host")
    equal(world.git("status", "--porcelain", at=worktree).split("\n")[-1], "?? uncommitted.txt", "status on the host")


@check
def logins_persist(world):
    if "claude" not in world.agents:
        return
    # The old sandbox was made anew with the machine: its agent and its login are there again.
    expect("Claude Code" in world.run("claude", "t1", "--", "--version", timeout=1500).ok("claude in the old sandbox").text, "no version in the old sandbox")
    equal(json.loads(world.sh("t1", "cat ~/.claude/.credentials.json")), LOGIN, "the login in the old sandbox")
    ran = world.run("claude", "t-login", "--", "--version", timeout=1500).ok("claude in a new sandbox of a new machine")
    expect("Claude Code" in ran.text, f"no version: {ran.text}")
    equal(json.loads(world.sh("t-login", "cat ~/.claude/.credentials.json")), LOGIN, "the login in a new sandbox")
    # What is no login stays inside.
    world.x("t-login", "sh", "-c", "echo '{\"apiKeyHelper\": \"touch /tmp/pwned\"}' > ~/.claude/.credentials.json").ok()
    time.sleep(2)
    equal(json.loads((world.data / "home/.claude/.credentials.json").read_text()), LOGIN, "the stored login after nonsense inside")


@check
def begins_from_golden(world):
    """What begins anew begins from a copy of the golden state; killed while that is made, or without one, it boots."""
    world.sandbox("t1")
    world.run("vm", "delete", "--force", timeout=200).ok("locki vm delete")
    ran = world.run("vm", "start", timeout=300).ok("locki vm start")
    world.notes.append(f"from golden {ran.seconds:.1f} s")
    expect("golden" not in ran.errors and "fresh" not in ran.errors, f"it was made anew: {ran.errors}")
    equal(world.machine_state(), "running", "the state after a start")
    # The golden state is still there and as it was, whatever the machine does.
    world.x("t1", "true", timeout=600).ok("a sandbox")
    world.run("vm", "delete", "--force", timeout=200).ok("locki vm delete")
    world.run("vm", "start", timeout=300).ok("locki vm start, again")
    world.x("t1", "true", timeout=600).ok("a sandbox, again")
    world.run("vm", "delete", "--force", "--golden", timeout=200).ok("locki vm delete --golden")
    equal(world.machine_state(), "absent", "without a golden state")
    ran = world.with_fault("vm.golden", "vm", "start")
    expect("connection was closed" in ran.errors, f"the daemon was not killed: {ran.status} {ran.errors!r}")
    ran = world.run("vm", "start", timeout=600).ok("the start after that")
    equal(world.machine_state(), "running", "the state after a killed start")
    world.run("vm", "suspend", timeout=120).ok("locki vm suspend")
    world.x("t1", "true", timeout=600).ok("a sandbox, at last")
