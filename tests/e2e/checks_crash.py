"""The machine is killed at every kind of moment of a working session. What both sides had agreed on is there afterwards, on both; nothing of the
user's is undone; the branch does not go back; the user is told what was put back."""

import contextlib
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import threading
import time

from harness import Skipped, check, equal, eventually, expect, shortened

MOMENTS = ("quiet", "files_go_in", "files_come_out", "agent_commits", "user_commits", "npm_installs", "asleep", "going_to_sleep", "waking", "new")
# The others cost a boot of the emulated machine each: LOCKI_E2E_CRASHES=all, or names.
USUAL = ("quiet", "agent_commits", "asleep")


def chosen():
    wanted = os.environ.get("LOCKI_E2E_CRASHES", "")
    return MOMENTS if wanted == "all" else tuple(wanted.split(",")) if wanted else USUAL


def files_of(worktree):
    """Path -> hash, without git's own."""
    found = {}
    for directory, names, files in os.walk(worktree):
        if ".git" in names:
            names.remove(".git")
        for file in files:
            path = pathlib.Path(directory, file)
            name = str(path.relative_to(worktree))
            if name == ".git" or path.is_symlink():
                continue
            with contextlib.suppress(FileNotFoundError):
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


class Session:
    """A sandbox with work on both sides, and what was agreed on."""

    def __init__(self, world, name):
        self.world, self.name = world, name
        self.worktree = world.sandbox(name)
        self.busy = set()  # prefixes of what changes while the machine dies
        anew = time.monotonic_ns()
        world.sh(name, f"mkdir -p work && for i in 1 2 3 4 5; do echo agent $i {anew} > work/a$i; done && git add work && git commit -q -m 'Work inside'")
        (self.worktree / "mine.txt").write_text("of the user\n")
        (self.worktree / "README").write_text("A project.\nEdited by the user.\n")
        self.agree()

    def agree(self):
        self.world.sync(self.name)
        self.tip = self.world.git("rev-parse", self.name)
        self.agreed = files_of(self.worktree)
        self.refs = self.kept()

    def kept(self):
        return set(self.world.git("for-each-ref", "--format=%(refname)", "refs/locki/").split())

    def kill(self):
        pid = self.world.qemu_pid()
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: self.world.qemu_pid() != pid, "QEMU ends")

    def check(self):
        ran = self.world.x(self.name, "true", timeout=900).ok("the next command")
        self.world.notes.append(f"next command {ran.seconds:.1f} s")
        begun = time.monotonic()
        self.world.sync(self.name)
        self.world.notes.append(f"agreed {time.monotonic() - begun:.1f} s later")
        now = files_of(self.worktree)
        for path, content in self.agreed.items():
            if not any(path.startswith(prefix) for prefix in self.busy):
                equal(now.get(path), content, f"{path} on the host")
        self.world.git("merge-base", "--is-ancestor", self.tip, self.name)
        expect((self.worktree / "mine.txt").read_text() == "of the user\n", "the user's file")
        inside = self.world.sh(self.name, "find . -name .git -prune -o -type f -print0 | xargs -0 sha256sum", timeout=300)
        inside = {line.split("  ", 1)[1][2:]: line.split()[0] for line in inside.splitlines()}
        equal({k: v for k, v in inside.items() if now.get(k) != v}, {}, "what is inside and not the same on the host")
        equal({k for k in now if k not in inside}, set(), "what is only on the host")
        equal(self.world.sh(self.name, "git rev-parse HEAD").strip(), self.world.git("rev-parse", self.name), "the branch on both sides")
        self.world.sh(self.name, "git fsck --strict --no-dangling --no-progress")
        equal(self.kept() - self.refs, set(), "what was rewritten or set aside")
        return ran


@contextlib.contextmanager
def beside(step):
    """step() over and over in a thread."""
    over = threading.Event()

    def work():
        while not over.is_set():
            step()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(60)


def crash(world, moment):
    if moment not in chosen():
        raise Skipped(f"LOCKI_E2E_CRASHES={moment} runs it, LOCKI_E2E_CRASHES=all all ten: each boots the machine anew")
    world.notes.append(moment)
    if moment == "new":
        if world.entry("crash-new"):
            world.run("rm", "--force", "--delete-branch", "crash-new", timeout=200).ok("locki rm")
        world.run("new", "crash-new", timeout=900).ok("locki new")
        session = Session.__new__(Session)
        session.world, session.name, session.busy = world, "crash-new", set()
        session.worktree = pathlib.Path(world.entry("crash-new")["worktree"])
        (session.worktree / "mine.txt").write_text("of the user\n")
        session.tip, session.agreed, session.refs = world.git("rev-parse", "crash-new"), files_of(session.worktree), session.kept()
        session.kill()
        session.check()
        world.run("rm", "--force", "--delete-branch", "crash-new", timeout=200).ok("locki rm")
        return
    session = Session(world, "crash")
    worktree = session.worktree
    if moment == "quiet":
        # As it was found: what is older than 30 s is on the guest's disk, what came since is not.
        time.sleep(40)
        world.sh("crash", "echo late > late.txt; echo agent again > work/a1; git add -A; git commit -q -m 'Late work'")
        world.sync("crash")
        (worktree / "late-mine.txt").write_text("late, of the user\n")
        (worktree / "README").write_text("A project.\nEdited twice by the user.\n")
        session.agree()
        session.kill()
        ran = session.check()
        expect("put back" in ran.errors, f"nobody was told: {shortened(ran.errors)}")
        audit = world.run("audit", "crash", "--json").ok("locki audit").text
        expect("recovered" in audit, "the audit does not know of it")
        equal((worktree / "README").read_text(), "A project.\nEdited twice by the user.\n", "the user's edit")
        return
    if moment == "files_go_in":
        session.busy = {"in/"}
        (worktree / "in").mkdir(exist_ok=True)
        for i in range(1500):
            (worktree / "in" / str(i)).write_text(f"of the user {i}\n")
        time.sleep(0.7)
        session.kill()
        session.check()
        equal(len(list((worktree / "in").iterdir())), 1500, "the user's new files")
        return
    if moment == "files_come_out":
        session.busy = {"out/"}
        world.begin("x", "crash", "--", "sh", "-c", "mkdir -p out; i=0; while :; do i=$((i+1)); echo $i > out/$((i % 300)); done",
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        eventually(lambda: (worktree / "out/20").exists(), "files from inside", timeout=30)
        session.kill()
        session.check()
        return
    if moment == "agent_commits":
        session.busy = {"c"}
        world.begin("x", "crash", "--", "sh", "-c", "i=0; while :; do i=$((i+1)); echo $i > c$i; git add c$i; git commit -q -m c$i; sleep 0.3; done",
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        eventually(lambda: world.git("rev-parse", "crash") != session.tip, "a commit from inside", timeout=60)
        time.sleep(4)
        session.tip = world.git("rev-parse", "crash")  # what the host has taken it keeps
        session.kill()
        session.check()
        return
    if moment == "user_commits":
        session.busy = {"u"}
        count = [0]

        def commit():
            count[0] += 1
            (worktree / f"u{count[0]}").write_text(f"{count[0]}\n")
            subprocess.run(["git", "-C", str(worktree), "add", f"u{count[0]}"], env=world.env, capture_output=True)
            subprocess.run(["git", "-C", str(worktree), "commit", "-q", "-m", f"u{count[0]}"], env=world.env, capture_output=True)
            time.sleep(0.4)

        with beside(commit):
            time.sleep(6)
            session.kill()
        session.tip = world.git("rev-parse", "crash")
        session.check()
        for i in range(1, count[0] + 1):
            expect((worktree / f"u{i}").exists(), f"the user's u{i} is gone")
        return
    if moment == "npm_installs":
        if not world.registry:
            raise Skipped("no npm registry is configured")
        session.busy = {"package"}
        world.begin("x", "crash", "--", "sh", "-c", "npm init -y && npm install --no-audit --no-fund express", stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        eventually(lambda: (worktree / "package.json").exists(), "npm begins", timeout=60)
        time.sleep(8)
        session.kill()
        ran = world.x("crash", "true", timeout=900).ok("the next command")
        world.sh("crash", "rm -rf node_modules package.json package-lock.json", timeout=300)
        session.check()
        return
    if moment == "asleep":
        world.run("vm", "suspend", timeout=200).ok("locki vm suspend")
        with open(world.state / "vm/suspended.ram", "r+b") as memory:
            memory.truncate(4096)  # the memory is lost; the disk is not
        session.check()
        return
    if moment == "going_to_sleep":
        process = world.begin("vm", "suspend", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        time.sleep(0.8)
        if world.qemu_pid():
            session.kill()
        process.wait(120)
        session.check()
        return
    if moment == "waking":
        world.run("vm", "suspend", timeout=200).ok("locki vm suspend")
        process = world.begin("x", "crash", "--", "true", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        eventually(world.qemu_pid, "QEMU wakes", timeout=30)
        session.kill()
        process.wait(900)
        session.check()
        return


def each(moment):
    def killed(world):
        crash(world, moment)

    killed.__name__ = f"crash_{moment}"
    killed.__module__ = __name__
    return check(killed)


for one in MOMENTS:
    each(one)


@check
def soak(world):
    """Ten sandboxes, inside a commit every 1.5 s, outside an edit every 1.5 s: all agree, every commit is there, no git fails."""
    count = int(os.environ.get("LOCKI_E2E_SOAK", "0"))
    if count == 0:
        raise Skipped("LOCKI_E2E_SOAK=10 runs it with ten sandboxes for two minutes")
    names = [f"soak{i}" for i in range(count)]
    trees = {name: world.sandbox(name) for name in names}
    script = ("i=0; end=$(($(date +%s) + 120)); while [ $(date +%s) -lt $end ]; do i=$((i+1)); echo $i > inside-$i; "
              "git add inside-$i 2>>/tmp/failed && git commit -q -m inside-$i 2>>/tmp/failed || echo failed >> /tmp/failed; sleep 1.5; done; echo $i > /tmp/count")
    running = [world.begin("x", name, "--", "sh", "-c", script, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL) for name in names]
    edits = 0
    while any(process.poll() is None for process in running):
        edits += 1
        for name in names:
            (trees[name] / f"outside-{edits % 20}").write_text(f"{edits}\n")
            done = subprocess.run(["git", "-C", str(trees[name]), "status", "--porcelain"], env=world.env, capture_output=True, text=True)
            expect(done.returncode == 0 and not done.stderr, f"git status on the host: {done.stderr}")
        time.sleep(1.5)
    commits = 0
    for name in names:
        world.sync(name)
        equal(world.sh(name, "cat /tmp/failed 2>/dev/null || true"), "", f"git inside {name}")
        made = int(world.sh(name, "cat /tmp/count"))
        commits += made
        subjects = world.git("log", "--format=%s", name).splitlines()
        missing = [i for i in range(1, made + 1) if f"inside-{i}" not in subjects]
        equal(missing, [], f"commits of {name} that are not on the host's branch")
        entry = world.entry(name)["mirror"]
        equal((entry["conflicts"], entry["stuck"]), (0, 0), f"conflicts and stuck files of {name}")
        equal(world.sh(name, "cat outside-*"), "".join((path.read_text() for path in sorted(trees[name].glob("outside-*")))), f"the user's edits in {name}")
        world.run("rm", "--force", "--delete-branch", name, timeout=200).ok("locki rm")
    world.notes.append(f"{commits} commits, {edits * count} edits")
