// The initial clone, made by one exec: a pack on stdin, a repository with its files at the worktree's path afterwards.
#pragma once

#include <string>

#include "base/result.h"
#include "endpoint/repository.h"

namespace locki::endpoint {

struct InitClone {
  RepositoryOptions repository;
  std::string oid;                                  // the branch's tip; "" makes an unborn branch and reads no pack
  std::string helper_directory = "/usr/local/bin";  // where git-remote-locki and a stand-in for gh go; "" for nowhere
  std::string boundary_file;                        // where the history ends (git's shallow file), to be consumed; "" for nowhere
  std::string history;                              // pack files that are here already (endpoint/history.h), to be consumed; the pack on stdin builds on them; "" for none
  std::string hostname;                             // that the machine takes: it may have been made before the sandbox had a name; "" for none
};

// Killed at any point, it can simply be run again. A complete clone that is there already is left alone (kExists).
Result<> init_clone(int pack, const InitClone& clone);

}  // namespace locki::endpoint
