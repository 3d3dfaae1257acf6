"""What the checks stand on: one world (a home directory, a repository, a machine), and the order in which they run.

A check is a function with a docstring-less, telling name and the decorator @check; it gets the World and raises Failed (or anything else) when
the product is wrong, Skipped when this host cannot show it. Standard library only.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
SECRET = "a-secret-of-the-host-7f3a"


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def expect(condition, reason):
    if not condition:
        raise Failed(reason)


def equal(got, wanted, what):
    if got != wanted:
        raise Failed(f"{what}: expected {wanted!r}, got {shortened(repr(got))}")


def shortened(text, most=600):
    return text if len(text) <= most else text[: most // 2] + " … " + text[-most // 2:]


def eventually(probe, what, timeout=10.0, every=0.02):
    """Waits until probe() is true; gives (its value, the seconds that took)."""
    begun = time.monotonic()
    while True:
        value = probe()
        if value:
            return value, time.monotonic() - begun
        if time.monotonic() - begun > timeout:
            raise Failed(f"{what}: not within {timeout:g} s")
        time.sleep(every)


CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


class Ran:
    def __init__(self, status, out, err, seconds):
        self.status, self.out, self.err, self.seconds = status, out, err, seconds

    @property
    def text(self):
        return self.out.decode(errors="replace")

    @property
    def errors(self):
        return self.err.decode(errors="replace")

    def ok(self, what="the command"):
        expect(self.status == 0, f"{what} ended with {self.status}: {shortened((self.errors + self.text).strip())}")
        return self


def tail(path, lines):
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - 65536))
            text = "".join(c if c.isprintable() or c == "\n" else "?" for c in file.read().decode(errors="replace"))
            return "\n".join(text.splitlines()[-lines:])
    except OSError as error:
        return f"({error.strerror})"


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def processes():
    """(pid, parent, name) of all that live."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError):
                name, rest = pathlib.Path(f"/proc/{entry}/stat").read_text().split("(", 1)[1].rsplit(")", 1)
                if rest.split()[0] != "Z":
                    yield int(entry), int(rest.split()[1]), name


class World:
    """The home directory under test and everything that was started in it."""

    def __init__(self, locki, agents):
        self.locki, self.agents = str(pathlib.Path(locki).resolve()), agents
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="lk", dir="/tmp"))  # short: socket paths end at 107 bytes
        self.state = self.home / ".local/state/locki"
        self.data = self.home / ".local/share/locki"
        self.repo = self.home / "project"
        self.started = []  # our own helpers
        self.notes = []
        env = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "GIT_", "LOCKI_"))}
        runtime = self.home / "run"
        runtime.mkdir(mode=0o700)
        caller = pathlib.Path(os.environ.get("HOME", "/root"))
        env.update(HOME=str(self.home), XDG_CACHE_HOME=os.environ.get("XDG_CACHE_HOME", str(caller / ".cache")),
                   XDG_RUNTIME_DIR=str(runtime), LOCKI_E2E_SECRET=SECRET, LC_ALL="C.UTF-8", LANG="C.UTF-8")
        self.env = env
        self._keep_registry(caller)
        self._make_repository()
        self._start_model()
        self._write_config()

    # ---- setting up

    def _keep_registry(self, caller):
        """The host's npm registry is part of what is tested; its configuration may be in the caller's home."""
        npm = shutil.which("npm")
        self.registry = ""  # the sandbox's npm knows its default
        if npm:
            asked = subprocess.run([npm, "config", "get", "registry"], env={**self.env, "HOME": str(caller)}, capture_output=True, text=True, cwd="/")
            self.registry = asked.stdout.strip()
        if self.registry:
            (self.home / ".npmrc").write_text(f"registry={self.registry}\n")

    def _make_repository(self):
        (self.home / ".gitconfig").write_text("[user]\n\tname = Test User\n\temail = test@example.org\n[init]\n\tdefaultBranch = main\n")
        self.repo.mkdir()
        self.git("init", "-q")
        (self.repo / "README").write_text("A project.\n")
        (self.repo / ".gitignore").write_text("build/\n*.log\n")
        (self.repo / "src").mkdir()
        (self.repo / "src/main.c").write_text("int main(void) { return 0; }\n")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "Begin")

    def _start_model(self):
        self.model_log = self.home / "model.jsonl"
        # No command substitution: Gemini CLI refuses it whatever its settings say.
        script = ["git branch --show-current | sed 's/^/by the agent on /' > agent.txt && echo written",
                  "git add agent.txt && git commit -q -m 'Work of the agent' && echo committed"]
        command = [sys.executable, str(HERE / "model_endpoint.py"), "--log", str(self.model_log)]
        for step in script:
            command += ["--command", step]
        model = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.started.append(model)
        self.model_port = int(model.stdout.readline().split()[2])

    def _write_config(self):
        config = self.home / ".config/locki"
        config.mkdir(parents=True)
        self.config_file = config / "config.toml"
        self.config_file.write_text(f'[net.services]\n"model.locki.internal" = "127.0.0.1:{self.model_port}"\n')
        subprocess.run([sys.executable, str(HERE / "agent_overrides.py"), str(config / "agents"), "http://model.locki.internal"], check=True)

    # ---- running

    def run(self, *args, input=None, timeout=300, cwd=None, env=None, command=None):
        begun = time.monotonic()
        process = subprocess.Popen(command or [self.locki, *map(str, args)], stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd or self.repo, env=env or self.env)
        try:
            out, err = process.communicate(input, timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise Failed(f"locki {' '.join(map(str, args))[:200]}: no end within {timeout} s; {shortened((err + out).decode(errors='replace'))}")
        return Ran(process.returncode, out, err, time.monotonic() - begun)

    def x(self, name, *argv, **options):
        return self.run("x", name, "--", *argv, **options)

    def sh(self, name, script, **options):
        """A shell script inside that must succeed; gives its output."""
        return self.x(name, "sh", "-c", script, **options).ok(f"inside: {shortened(script, 200)}").text

    def begin(self, *args, **options):
        """A locki that runs beside us."""
        process = subprocess.Popen([self.locki, *map(str, args)], cwd=self.repo, env=self.env, **options)
        self.started.append(process)
        return process

    def git(self, *args, at=None):
        done = subprocess.run(["git", "-C", str(at or self.repo), *args], env=self.env, capture_output=True, text=True)
        expect(done.returncode == 0, f"git {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout.rstrip("\n")

    def list(self, *args):
        return json.loads(self.run("list", "--json", *args).ok("locki list").text)

    def entry(self, name):
        found = [one for one in self.list() if one["name"] == name]
        return found[0] if found else None

    def sandbox(self, name):
        """The worktree of a sandbox, made when it is not there."""
        entry = self.entry(name)
        if entry is None:
            self.run("new", name, timeout=1500).ok(f"locki new {name}")
            entry = self.entry(name)
        return pathlib.Path(entry["worktree"])

    def sync(self, name):
        return self.run("sync", name, timeout=200).ok(f"locki sync {name}")

    @contextlib.contextmanager
    def shell(self, name):
        """A shell inside that stays open, so that a command costs no session: a function that runs a line and gives its output."""
        process = self.begin("x", name, "--", "bash", "--norc", stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        def line(text, wait=True):
            mark = f"--{time.monotonic_ns()}--"
            process.stdin.write(f"{text}\nprintf '\\n%s\\n' '{mark}'\n".encode() if wait else f"{text}\n".encode())
            process.stdin.flush()
            out = []
            while wait:
                read = process.stdout.readline().decode(errors="replace")
                expect(read, f"the shell in {name} ended at: {text}")
                if read.strip() == mark:
                    break
                out.append(read)
            return "".join(out).strip()

        try:
            yield line
        finally:
            process.stdin.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()

    # ---- processes of the product, by what its state directory says

    def daemon_pid(self):
        return self._pid(self.state / "daemon.pid")

    def jail_pid(self):
        return self._pid(self.state / "vm/run/pid")

    def qemu_pid(self):
        """The jail's child."""
        jail = self.jail_pid()
        return next((pid for pid, parent, name in processes() if parent == jail and name.startswith("qemu")), None) if jail else None

    def machine_state(self):
        return json.loads(self.run("vm", "status", "--json").ok("locki vm status").text)["state"]

    def kill_daemon(self):
        pid = self.daemon_pid()
        if pid:
            os.kill(pid, signal.SIGKILL)
            eventually(lambda: not alive(pid) or self.daemon_pid() != pid, "the daemon ends")

    def with_fault(self, point, *command):
        """Runs a command with a daemon that kills itself at that point."""
        self.kill_daemon()
        self.env["LOCKI_FAULT"] = point
        try:
            return self.run(*command, timeout=300)
        finally:
            del self.env["LOCKI_FAULT"]

    def _pid(self, file):
        try:
            pid = int(file.read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None
        return pid if alive(pid) else None

    def workers(self):
        """The mirror workers: children of the daemon."""
        daemon = self.daemon_pid()
        return [pid for pid, parent, name in processes() if parent == daemon and name == "mirror"]

    # ---- the end

    def logs(self):
        run = self.state / "vm/run"
        for title, path, lines in (("daemon.log", self.state / "daemon.log", 60), ("mirror.log", self.state / "mirror.log", 40),
                                   ("console.log", run / "console.log", 40), ("messages.log", run / "messages.log", 20)):
            print(f"---- {title}\n{tail(path, lines)}", flush=True)

    def close(self, keep):
        for process in self.started:
            if process.poll() is None:
                process.kill()
        with contextlib.suppress(Exception):
            if self.daemon_pid() or self.jail_pid():
                self.run("vm", "stop", "--force", timeout=150)
        for pid in (self.jail_pid(), self.qemu_pid(), self.daemon_pid()):
            if pid:
                self._end(pid)
        if keep:
            print(f"kept: {self.home}")
        else:
            shutil.rmtree(self.home, ignore_errors=True)

    @staticmethod
    def _end(pid):
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            for _ in range(100):
                if not alive(pid):
                    return
                time.sleep(0.05)


def run_check(world, function):
    """One try: what became of it, and the rest of its line."""
    begun = time.monotonic()
    world.notes.clear()
    try:
        function(world)
    except Skipped as why:
        return "skipped", str(why)
    except Failed as why:
        return "failed", f"{why} ({time.monotonic() - begun:.1f} s)"
    except Exception:  # a mistake in a check is a failure, too
        return "failed", traceback.format_exc()
    extra = "; " + ", ".join(world.notes) if world.notes else ""
    return "passed", f"{time.monotonic() - begun:.1f} s{extra}"


def run_checks(world, only, stop_early):
    """Runs them in their order, prints a line for each, and yields what became of it: "passed", "failed" or "skipped".

    An emulated machine on a busy host misses a deadline now and then: what failed is tried once more, and what passes only then says so.
    """
    for function in CHECKS:
        name = function.__name__
        if only and not any(part in name or part == function.__module__ for part in only):
            continue
        outcome, text = run_check(world, function)
        if outcome == "failed" and not stop_early:
            print(f"UNSTEADY {name}: {text}", flush=True)
            outcome, text = run_check(world, function)
        print({"passed": f"ok {name} ({text})", "skipped": f"SKIPPED {name}: {text}", "failed": f"FAILED {name}: {text}"}[outcome], flush=True)
        yield outcome
        if outcome == "failed" and stop_early:
            return
