#!/usr/bin/env python3
"""Writes agent files that point the agents at model_endpoint.py: agent_overrides.py DIRECTORY BASE_URL

DIRECTORY is what locki reads as ~/.config/locki/agents (under the test's own XDG_CONFIG_HOME). The files go over the built-in ones, so
everything else about an agent stays as it is shipped. The keys are of no use anywhere.
"""

import pathlib
import sys

CLAUDE = """[environment]
ANTHROPIC_BASE_URL = "{base}"
ANTHROPIC_AUTH_TOKEN = "scripted"
"""

CODEX = """[environment]
CODEX_API_KEY = "scripted"
[[files]]
path = "${{home}}/.codex/config.toml"
[files.toml]
openai_base_url = "{base}/v1"
"""

# The type of login is asked for when there is a base URL and no choice.
GEMINI = """[environment]
GOOGLE_GEMINI_BASE_URL = "{base}"
GEMINI_API_KEY = "scripted"
[[files]]
path = "${{home}}/.gemini/settings.json"
policy = "merge"
[files.json.security.auth]
selectedType = "gemini-api-key"
"""


def main():
    directory, base = pathlib.Path(sys.argv[1]), sys.argv[2].rstrip("/")
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in (("claude", CLAUDE), ("codex", CODEX), ("gemini", GEMINI)):
        (directory / f"{name}.toml").write_text(text.format(base=base))


if __name__ == "__main__":
    main()
