"""list, new, start, stop, remove; several at once."""

import json
import os
import subprocess
import time

from harness import check, equal, eventually, expect, shortened


@check
def list_shows(world):
    worktree = world.sandbox("t1")
    entry = world.entry("t1")
    equal((entry["state"], entry["branch"], entry["worktree"]), ("running", "t1", str(worktree)), "the entry of t1")
    text = world.run("list").ok().text
    expect("t1" in text and "running" in text, f"locki list prints {text}")
    equal(world.list("--all"), world.list(), "the list of all repositories: there is one")
    status = json.loads(world.run("vm", "status", "--json").ok().text)
    equal((status["state"], status["pid"]), ("running", world.qemu_pid()), "locki vm status")


@check
def new_twice(world):
    world.sandbox("t1")
    ran = world.run("new", "t1")
    equal(ran.status, 1, "the status of a second locki new")
    expect("exists already" in ran.errors and "Traceback" not in ran.errors, f"it says {ran.errors}")
    for bad in ("..", "-x", "a b", "a/../b", "HEAD~1", "x.lock"):
        ran = world.run("new", "--", bad) if bad.startswith("-") else world.run("new", bad)
        expect(ran.status in (1, 2), f"locki new {bad!r} ended with {ran.status}")
    equal(sorted(one["name"] for one in world.list() if one["state"] == "broken"), [], "broken sandboxes")


@check
def second_sandbox_installs_nothing(world):
    begun = time.monotonic()
    ran = world.run("claude", "t3", "--", "--version", timeout=600).ok("claude in a second sandbox")
    expect("Installing" not in ran.errors, f"it installed again: {shortened(ran.errors)}")
    world.notes.append(f"{time.monotonic() - begun:.1f} s")
    denied = world.x("t3", "sh", "-c", "touch /opt/locki/agents/x || mount -o remount,rw /opt/locki/agents")
    expect(denied.status != 0, "a sandbox can write to the agent store")


@check
def stop_and_start(world):
    worktree = world.sandbox("t3")
    world.sh("t3", "echo kept > /root/kept; echo stays > stays")
    world.run("stop", "t3").ok("locki stop")
    equal(world.entry("t3")["state"], "stopped", "the state after locki stop")
    expect((worktree / "stays").exists(), "what was inside did not come out before the stop")
    (worktree / "while-stopped").write_text("new\n")
    (worktree / "stays").unlink()
    world.run("start", "t3").ok("locki start")
    equal(world.entry("t3")["state"], "running", "the state after locki start")
    world.sync("t3")
    equal(world.sh("t3", "cat /root/kept while-stopped; ls stays 2>/dev/null || true"), "kept\nnew\n", "inside after the start")
    world.run("stop", "t3").ok("locki stop")
    equal(world.sh("t3", "cat /root/kept"), "kept\n", "locki x starts a stopped sandbox")
    (worktree / "while-stopped").unlink()
    world.sync("t3")


@check
def remove_keeps_work(world):
    worktree = world.sandbox("t3")
    world.sh("t3", "echo precious > precious.txt")
    ran = world.run("remove", "t3")
    equal(ran.status, 1, "the status of locki remove")
    expect("precious.txt" in ran.errors, f"it does not name what would be lost: {ran.errors}")
    expect((worktree / "precious.txt").read_text() == "precious\n", "the file is gone")
    equal(world.sh("t3", "cat precious.txt"), "precious\n", "the sandbox goes on")
    world.sh("t3", "git add -A && git commit -q -m Precious")
    world.sync("t3")
    tip = world.git("rev-parse", "t3")
    ran = world.run("remove", "t3", "--delete-branch")
    expect(ran.status == 1 and "Precious" in ran.errors, f"--delete-branch would lose a commit: {ran.errors}")
    (worktree / "more").write_text("m")
    world.run("remove", "t3", "--force").ok("locki remove --force")
    equal(world.git("rev-parse", "t3"), tip, "the branch after --force")
    expect(not worktree.exists(), "the worktree is still there")
    expect(world.entry("t3") is None, "it is still listed")
    expect(str(worktree) not in world.git("worktree", "list"), "git still knows the worktree")
    equal(world.run("x", "t3", "--", "true").status, 125, "locki x of a removed sandbox")
    # The branch is still there: a sandbox of that name goes on from it.
    world.run("new", "t3", timeout=300).ok("locki new on an existing branch")
    equal(world.sh("t3", "git rev-parse HEAD; cat precious.txt").split(), [tip, "precious"], "the sandbox on the old branch")
    world.run("remove", "t3").ok("locki remove of a clean sandbox")


@check
def many_at_once(world):
    names = [f"at-once-{i}" for i in range(int(os.environ.get("LOCKI_E2E_AT_ONCE", "4")))]
    for one in world.list():  # of an attempt before
        if one["name"] in names:
            world.run("remove", "--force", one["name"])
    begun = time.monotonic()
    running = [world.begin("new", name, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for name in names]
    for name, process in zip(names, running):
        _, errors = process.communicate(timeout=600)
        equal(process.returncode, 0, f"locki new {name} ({errors.decode(errors='replace').strip()[-300:]})")
    world.notes.append(f"{len(names)} in {time.monotonic() - begun:.1f} s")
    equal({one["name"]: one["state"] for one in world.list() if one["name"] in names}, {name: "running" for name in names}, "the list")
    addresses = {world.sh(name, "hostname -I").strip() for name in names}
    equal(len(addresses), len(names), "different addresses")
    # Removing at once, and one name twice.
    running = [world.begin("remove", name, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for name in names]
    for name, process in zip(names, running):
        _, errors = process.communicate(timeout=600)
        equal(process.returncode, 0, f"locki remove {name} ({errors.decode(errors='replace').strip()[-300:]})")
    equal([one["name"] for one in world.list() if one["name"] in names], [], "the list after removing")


@check
def same_new_at_once(world):
    running = [world.begin("new", "same", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(3)]
    results = []
    for process in running:
        _, errors = process.communicate(timeout=300)
        results.append((process.returncode, errors.decode(errors="replace")))
    expect(any(status == 0 for status, _ in results), f"none of them made it: {results}")
    for status, errors in results:
        expect(status == 0 or "exists already" in errors, f"{status}: {errors}")
    equal(world.sh("same", "git branch --show-current"), "same\n", "the sandbox")


@check
def remove_during_exec(world):
    world.sandbox("t1")
    world.sandbox("same")
    busy = world.begin("x", "same", "--", "sh", "-c", "echo ready; sleep 600", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    equal(busy.stdout.readline(), b"ready\n", "the command runs")
    ran = world.run("remove", "same")
    expect(ran.status == 1 and "in use" in ran.errors, f"locki remove during a session: {ran.status} {ran.errors}")
    world.run("remove", "same", "--force").ok("locki remove --force")
    status = busy.wait(30)
    expect(status != 0, "the session says that all was well")
    expect(world.entry("same") is None, "it is still listed")
    eventually(lambda: world.x("t1", "true").status == 0, "others go on", every=0.5)


def spare(world):
    """The name of the spare container once it is ready."""
    def ready():
        try:
            found = json.loads((world.state / "spares.json").read_text())["spares"]
        except OSError:
            return None
        return next((one["instance"] for one in found if one["ready"]), None)
    return eventually(ready, "a spare container", timeout=180, every=0.5)[0]


def record(world, name):
    records = [json.loads(path.read_text()) for path in world.state.glob("sandboxes/*/record.json")]
    return next(one for one in records if one["name"] == name)


@check
def takes_a_spare(world):
    world.sandbox("t1")
    waiting = spare(world)
    ran = world.run("new", "pooled", timeout=300).ok("locki new")
    world.notes.append(f"from the pool {ran.seconds:.1f} s")
    equal(record(world, "pooled")["instance"], waiting, "its container")
    expect(waiting not in (world.state / "spares.json").read_text(), "the spare has two owners")
    name = world.sh("pooled", "hostname").strip()
    expect(name.startswith("lk-pooled-"), f"it calls itself {name}")
    equal(world.sh("pooled", "cat /etc/hostname").strip(), name, "/etc/hostname")
    # The gate knows it by its own name, and the mirror and git are its own.
    equal(world.x("pooled", "curl", "-s", "-m", "20", "http://model.locki.internal/").text, "{}", "the network")
    expect("model.locki.internal" in world.run("net", "log", "pooled").ok("locki net log").text, "the gate took it for another")
    world.sh("pooled", "echo p > p.txt; git add p.txt; git commit -q -m pooled")
    world.sync("pooled")
    equal(world.git("log", "-1", "--format=%s", "pooled"), "pooled", "the commit on the host")
    world.run("remove", "pooled", "--force").ok("locki remove")


@check
def killed_while_taking_a_spare(world):
    world.sandbox("t1")
    lost = spare(world)
    ran = world.with_fault("spare.taken", "new", "pooled")
    expect("connection was closed" in ran.errors, f"the daemon was not killed: {ran.status} {ran.errors!r}")
    world.run("new", "pooled", timeout=300).ok("locki new, again")
    expect(record(world, "pooled")["instance"] != lost, "it got a container that was nobody's")
    eventually(lambda: f"removing the container {lost}" in (world.state / "daemon.log").read_text(), "what was lost is removed", timeout=60, every=0.5)
    world.run("remove", "pooled", "--force").ok("locki remove")
