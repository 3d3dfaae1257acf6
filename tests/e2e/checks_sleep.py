"""Suspend and resume: everything alive afterwards, and nothing lost whatever is killed."""

import json
import os
import pathlib
import shutil
import signal
import time

from harness import alive, check, equal, eventually, expect


def begin(world, marker):
    """A process inside that only a sleep of the whole machine survives."""
    world.sh("t1", f"nohup sh -c 'echo {marker} > /run/marker; exec sleep 100000' >/dev/null 2>&1 & echo $! > /run/sleeper")
    eventually(lambda: world.sh("t1", "cat /run/marker 2>/dev/null || true") == f"{marker}\n", "the process inside")


def lives(world, marker):
    return world.sh("t1", "kill -0 $(cat /run/sleeper 2>/dev/null) 2>/dev/null && cat /run/marker || true") == f"{marker}\n"


@check
def sleeps_and_wakes(world):
    worktree = world.sandbox("t1")
    begin(world, "first")
    world.sh("t1", "echo before > asleep.txt")
    world.sync("t1")
    begun = time.monotonic()
    world.run("vm", "suspend", timeout=120).ok("locki vm suspend")
    world.notes.append(f"suspend {time.monotonic() - begun:.1f} s")
    equal(world.machine_state(), "suspended", "the state")
    expect(world.qemu_pid() is None, "QEMU still runs")
    # The host goes on meanwhile.
    (worktree / "asleep.txt").write_text("changed on the host\n")
    (worktree / "made-meanwhile.txt").write_text("m\n")
    world.git("commit", "--allow-empty", "-q", "-m", "made while it slept", at=worktree)
    begun = time.monotonic()
    world.x("t1", "true", timeout=300).ok("the command that wakes it")
    world.notes.append(f"wake to the end of a command {time.monotonic() - begun:.1f} s")
    expect(lives(world, "first"), "what ran inside is gone: it did not wake, it booted")
    world.sync("t1")
    equal(world.sh("t1", "cat asleep.txt made-meanwhile.txt"), "changed on the host\nm\n", "the host's files inside")
    equal(world.sh("t1", "git log -1 --format=%s"), "made while it slept\n", "the host's commit inside")
    inside, outside = int(world.sh("t1", "date +%s")), time.time()
    expect(abs(inside - outside) < 5, f"the clock inside is {inside - outside:.0f} s off")
    world.sh("t1", "rm asleep.txt made-meanwhile.txt")
    eventually(lambda: not (worktree / "asleep.txt").exists(), "the mirror goes on", timeout=30)
    equal(world.x("t1", "curl", "-s", "-m", "20", "http://model.locki.internal/").text, "{}", "the network")


@check
def wakes_to_stop_one(world):
    """What ran when it fell asleep is not taken for running after it was stopped."""
    world.sandbox("t1")
    world.run("vm", "suspend", timeout=120).ok("locki vm suspend")
    world.run("stop", "t1", timeout=300).ok("stopping a sandbox of a machine that sleeps")
    equal(world.x("t1", "echo", "up", timeout=300).text, "up\n", "a command in the sandbox that was stopped")


@check
def sleeps_again_at_once(world):
    """What a command wrote just after the machine woke is on the host when the machine sleeps again."""
    worktree = world.sandbox("t1")
    world.run("vm", "suspend", timeout=120).ok("locki vm suspend")
    world.sh("t1", "echo awake > awake.txt")
    world.run("vm", "suspend", timeout=120).ok("locki vm suspend, again")
    equal((worktree / "awake.txt").read_text(), "awake\n", "the file of the short time between")
    world.sh("t1", "rm awake.txt")
    world.sync("t1")


@check
def suspend_waits_for_sessions(world):
    world.sandbox("t1")
    session = world.begin("x", "t1", "--", "sleep", "30")
    try:
        eventually(lambda: "sleep 30" in world.sh("t1", "pgrep -af 'sleep 30' || true"), "the session")
        ran = world.run("vm", "suspend")
        equal(ran.status, 1, "suspend while a session is open")
        expect("in use" in ran.errors, f"it said {ran.errors!r}")
        equal(world.machine_state(), "running", "the state")
    finally:
        session.kill()
        session.wait()


@check
def asleep_is_stopped_in_order(world):
    """`vm stop` of a machine that sleeps loses nothing that was only in its memory."""
    world.sandbox("t1")
    world.sh("t1", "echo fresh > /root/fresh-before-sleep")
    world.run("vm", "suspend", timeout=120).ok("locki vm suspend")
    world.run("vm", "stop", timeout=300).ok("locki vm stop")
    expect(world.machine_state() not in ("running", "suspended"), f"it is {world.machine_state()}")
    equal(world.x("t1", "cat", "/root/fresh-before-sleep", timeout=600).text, "fresh\n", "a file written just before")


def survives_a_kill(world, point, command, running, asleep_before=False):
    """The daemon dies at that point of `locki vm COMMAND`; the next command repairs. `running`: what ran inside is still there."""
    worktree = world.sandbox("t1")
    begin(world, point)
    world.sh("t1", f"echo {point} > step.txt; git add step.txt; git commit -q --allow-empty -m 'at {point}'")
    world.sync("t1")
    if asleep_before:
        world.run("vm", "suspend", timeout=120).ok("locki vm suspend")
    ran = world.with_fault(point, "vm", command)
    expect("connection was closed" in ran.errors, f"{point}: the daemon was not killed: {ran.status} {ran.errors!r}")
    world.x("t1", "true", timeout=600).ok(f"the command after a kill at {point}")
    equal(lives(world, point), running, f"what ran inside, after a kill at {point}")
    world.sync("t1")
    equal((worktree / "step.txt").read_text(), f"{point}\n", f"{point}: on the host")
    equal(world.sh("t1", "cat step.txt; git log -1 --format=%s; git status --porcelain step.txt"), f"{point}\nat {point}\n", f"{point}: inside")


@check
def killed_at_every_step_of_suspend(world):
    """Never a memory image on a newer disk: it goes on, sleeps, or boots; and no file of the worktree or commit is lost."""
    # Saved, but not ended: it runs on. Ended without a valid image: it boots. Kept: it wakes.
    for point, running in (("vm.saved", True), ("vm.ended", False), ("vm.kept", True)):
        survives_a_kill(world, point, "suspend", running)


@check
def killed_at_every_step_of_resume(world):
    # Loaded, but not yet let go: the next daemon lets it go. Before that its memory is lost, and it boots.
    for point, running in (("vm.taken", False), ("vm.waiting", False), ("vm.loaded", True)):
        survives_a_kill(world, point, "start", running, asleep_before=True)


def sleeps_when(world, end, mark):
    """The session ends in that way: the machine is asleep, with what was written last on the host, and wakes with what ran in it."""
    worktree = world.sandbox("t1")
    begin(world, mark)
    world.sh("t1", f"echo {mark} > {mark}.txt")
    daemon = world.daemon_pid()
    begun = time.monotonic()
    end()
    eventually(lambda: not alive(daemon), "the daemon ends", timeout=60)
    world.notes.append(f"asleep within {time.monotonic() - begun:.1f} s")
    expect(world.qemu_pid() is None, "QEMU still runs")
    saved = json.loads((world.state / "vm/suspended.json").read_text())
    equal(saved["on_disk"], True, "it is on the disk, for after a restart of the host")
    equal(world.machine_state(), "suspended", "the state")
    equal((worktree / f"{mark}.txt").read_text(), f"{mark}\n", "what was written last")
    world.x("t1", "true", timeout=300).ok("the command that wakes it")
    expect(lives(world, mark), "what ran inside is gone: it did not wake, it booted")
    world.sh("t1", f"rm {mark}.txt")


@check
def sleeps_when_the_session_ends(world):
    """As systemd ends a session or the host: SIGTERM and SIGHUP to each process of it, QEMU and the mirror's worker among them."""

    def end():
        everybody = [world.qemu_pid(), world.jail_pid(), *world.workers(), world.daemon_pid()]
        expect(len(everybody) >= 4 and all(everybody), f"the processes: {everybody}")
        for pid in everybody:
            for number in (signal.SIGTERM, signal.SIGHUP):
                os.kill(pid, number)

    sleeps_when(world, end, "logout")


@check
def sleeps_when_the_runtime_directory_goes(world):
    """Where processes may outlive the last session, only the directory of the daemon's socket goes."""
    sleeps_when(world, lambda: shutil.rmtree(pathlib.Path(world.env["XDG_RUNTIME_DIR"]) / "locki"), "gone")


@check
def sleeps_by_itself_when_idle(world):
    world.sandbox("t1")
    world.x("t1", "true").ok("before")
    config = world.config_file.read_text()
    world.config_file.write_text(config + '\n[vm]\nidle = "30s"\n')
    try:
        eventually(lambda: world.machine_state() == "suspended", "the machine sleeps by itself", timeout=200, every=5)
    finally:
        world.config_file.write_text(config)
    world.x("t1", "true", timeout=300).ok("the command that wakes it")
