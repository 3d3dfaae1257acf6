"""The main job: an agent in a sandbox, driven by the scripted model; its files and commits on the host."""

import json
import os

from harness import Skipped, check, equal, eventually, expect, shortened
from terminal import Terminal

PROMPTS = {"claude": ["-p", "Do your work.", "--output-format", "json"], "codex": ["exec", "Do your work."], "gemini": ["-p", "Do your work."]}


@check
def first_start(world):
    """From nothing: roots (cached between runs), machine, sandbox, agent."""
    ran = world.run("claude", "t1", "--", "--version", timeout=2400).ok("locki claude t1 -- --version")
    expect("Claude Code" in ran.text, f"no version: {ran.text!r}")
    expect(world.git("rev-parse", "t1") == world.git("rev-parse", "main"), "the branch does not begin at main")
    world.notes.append(ran.text.strip())
    again = world.run("claude", "t1", "--", "--version", timeout=300).ok("the second start")
    world.notes.append(f"again {again.seconds:.1f} s")


def model_entries(world):
    return [json.loads(line) for line in world.model_log.read_text().splitlines()] if world.model_log.exists() else []


def agent_works(world, agent, name):
    if agent not in world.agents:
        raise Skipped("not chosen (LOCKI_E2E_AGENTS)")
    worktree = world.sandbox(name)
    before, seen = world.git("rev-parse", name), len(model_entries(world))
    ran = world.run(agent, name, *PROMPTS[agent], timeout=900).ok(f"locki {agent}")
    entries = model_entries(world)[seen:]
    results = [result for entry in entries for result in entry.get("results", [])]
    expect(any(entry["reply"] == "call" for entry in entries), f"the agent never offered its shell tool; it said {shortened(ran.text + ran.errors)}")
    said = " ".join(results)
    expect("committed" in said, f"the agent's tool did not run to its end: {shortened(said)}")
    for word in ("permission", "denied", "approval", "haven't granted"):
        expect(word not in said.lower(), f"a prompt in the way: {shortened(said)}")

    file = worktree / "agent.txt"
    eventually(lambda: file.exists() and world.git("rev-parse", name) != before, "file and commit on the host")
    equal(file.read_text(), f"by the agent on {name}\n", "the file")
    equal((file.stat().st_uid, file.stat().st_gid), (os.getuid(), os.getgid()), "the file's owner")
    equal(world.git("log", "-1", "--format=%an <%ae> %s", name), "Test User <test@example.org> Work of the agent", "the commit")
    equal(world.git("show", "--name-only", "--format=", name), "agent.txt", "what the commit changes")
    equal(world.git("rev-parse", f"{name}~1"), before, "the commit's parent")
    eventually(lambda: world.git("status", "--porcelain", at=worktree) == "", "a clean status on the host")
    objects = [os.lstat(os.path.join(folder, one)).st_uid for folder, _, files in os.walk(world.repo / ".git/objects") for one in files]
    expect(set(objects) == {os.getuid()}, "objects in the repository belong to somebody else")
    return ran


@check
def claude_works(world):
    ran = agent_works(world, "claude", "t1")
    result = json.loads(ran.text.strip().splitlines()[-1])
    equal(result.get("permission_denials", []), [], "permissions that Claude Code says it was denied")
    equal(result.get("is_error"), False, "Claude Code's is_error")


@check
def claude_bypass_in_effect(world):
    if "claude" not in world.agents:
        raise Skipped("not chosen (LOCKI_E2E_AGENTS)")
    settings = json.loads(world.sh("t1", "cat /etc/claude-code/managed-settings.json"))
    equal(settings["permissions"]["defaultMode"], "bypassPermissions", "managed settings")
    expect("t1" in world.sh("t1", "cat /etc/claude-code/CLAUDE.md"), "the note does not name the sandbox")
    # What Claude Code itself says it runs with, without the option that locki adds.
    script = "ANTHROPIC_BASE_URL=http://model.locki.internal ANTHROPIC_AUTH_TOKEN=scripted IS_SANDBOX=1 "
    script += "/opt/locki/agents/claude/node_modules/.bin/claude -p hello --output-format stream-json --verbose </dev/null | grep -m 1 permissionMode"
    first = json.loads(world.sh("t1", script, timeout=300))
    equal(first.get("permissionMode"), "bypassPermissions", "the mode from managed settings alone")


@check
def claude_outlives_its_terminal(world):
    """As a person has it: the agent's own screen, no question in the way; it goes on when the terminal dies, and is taken up again."""
    if "claude" not in world.agents:
        raise Skipped("not chosen (LOCKI_E2E_AGENTS)")
    # Nothing of an earlier attempt is shown instead.
    world.sh("t1", "pkill -x claude; sleep 1; rm -f /run/locki/sessions/claude.last")
    first = Terminal([world.locki, "claude", "t1"], world.env, world.repo)
    try:
        shown = first.wait_for(r"bypass\s*permissions\s*on|\(y/n\)|Yes, I|trust|log\s*in|Select|API key", timeout=300).group(0)
        expect("bypass" in shown, f"a question in the way: {shown!r}; it shows {shortened(first.seen)!r}")
        first.type("a line that nobody sent")
        first.wait_for("nobody", timeout=60)
        pid = world.sh("t1", "pgrep -o -x claude").strip()
    finally:
        first.close()  # as a window that is closed: nothing asks the program
    eventually(lambda: json.loads(world.run("list", "--json").ok().text) and world.entry("t1").get("screens", {}).get("claude"),
               "locki list shows the agent that goes on", timeout=30, every=1)
    equal(world.sh("t1", "pgrep -o -x claude").strip(), pid, "the agent that goes on")
    second = Terminal([world.locki, "attach", "t1"], world.env, world.repo)
    try:
        second.wait_for("nobody", timeout=60)  # the screen is drawn again
        second.type("\x1d")  # Ctrl-]
        equal(second.wait(60), 0, "attach that was left")
    finally:
        second.close()
    equal(world.sh("t1", "pgrep -o -x claude").strip(), pid, "the agent after it was left")
    for command in (("stop", "t1"), ("remove", "t1"), ("vm", "stop")):
        ran = world.run(*command, timeout=200)
        equal(ran.status, 1, f"locki {' '.join(command)} while it runs")
        expect("claude runs in t1" in ran.errors, f"it said {ran.errors!r}")
    equal(world.sh("t1", "pgrep -o -x claude").strip(), pid, "the agent after that")
    world.sh("t1", "pkill -x claude; for i in $(seq 60); do pgrep -x claude || exit 0; sleep 0.5; done; exit 1")
    # It ended while nobody looked: the next one who comes sees how.
    eventually(lambda: world.list() and world.entry("t1").get("screens", {}).get("claude") == "finished", "locki list says so", timeout=30, every=1)
    status = world.entry("t1")["ended"]["claude"]
    third = Terminal([world.locki, "attach", "t1"], world.env, world.repo)
    try:
        third.wait_for("ended by itself", timeout=60)
        equal(third.wait(60), status, "attach to what has ended")
    finally:
        third.close()
    ran = world.run("attach", "t1")
    equal(ran.status, 125, "attach without a terminal")


@check
def gemini_works(world):
    agent_works(world, "gemini", "t-gemini")
    settings = json.loads(world.sh("t-gemini", "cat /etc/gemini-cli/settings.json"))
    equal(settings["security"]["folderTrust"]["enabled"], False, "folder trust")
    equal(settings["security"]["disableYoloMode"], False, "disableYoloMode")


@check
def codex_works(world):
    agent_works(world, "codex", "t-codex")
    text = world.sh("t-codex", "cat /etc/codex/config.toml")
    expect('approval_policy = "never"' in text and 'sandbox_mode = "danger-full-access"' in text, f"settings: {text}")
