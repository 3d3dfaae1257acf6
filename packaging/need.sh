# Sourced by ./locki and ./test: `need LIST…` makes sure that the Debian packages of these lists are installed, and says what it
# installs and why. As root it installs, else through sudo; without either it prints the command and fails.
need() {
  local list name reason missing=() reasons=() installed
  installed=$(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' 2>/dev/null | sed -n 's/^ii //p') || installed=
  for list in "$@"; do
    while read -r name reason; do
      case $name in '' | '#'*) continue ;; esac
      if ! grep -qxF -- "$name" <<<"$installed"; then
        missing+=("$name")
        reasons+=("$(printf '  %-24s %s' "$name" "$reason")")
      fi
    done <"$here/packaging/$list-packages.txt"
  done
  [ ${#missing[@]} -eq 0 ] && return 0

  {
    echo "locki: these Debian packages are missing; they are installed once:"
    printf '%s\n' "${reasons[@]}"
  } >&2
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
      as_root=(sudo)
    else
      {
        echo "locki: installing them needs root, and sudo is not at hand. Ask an administrator to run:"
        echo "  apt-get install ${missing[*]}"
      } >&2
      return 1
    fi
  fi
  local log
  log=$(mktemp)
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=300 install --no-install-recommends "${missing[@]}")
  if ! "${as_root[@]}" "${install[@]}" >"$log" 2>&1; then
    # An image without package lists, or with old ones: fetch them and try once more.
    if ! { "${as_root[@]}" apt-get -q -o DPkg::Lock::Timeout=300 update && "${as_root[@]}" "${install[@]}"; } >"$log" 2>&1; then
      tail -n 20 "$log" >&2
      rm -f "$log"
      echo "locki: apt-get failed (above). Is the network there, and are /etc/apt's sources right?" >&2
      return 1
    fi
  fi
  rm -f "$log"
}
