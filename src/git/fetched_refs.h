// Where the user's repository keeps branches of a sandbox besides its own, once they were asked for:
// refs/remotes/locki/SANDBOX/BRANCH, one directory a sandbox ('/' in its name becomes '+', which no sandbox's name has).
// git and editors show them as branches of a remote: nothing checks one out by itself, no push takes them along, and no
// branch of the user's can be in their way. What a branch may be called there is decided here and nowhere else.
// Blocking; any thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "git/repository.h"

namespace locki::git {

// "refs/remotes/locki/fix+cart/"
std::string fetched_prefix(std::string_view sandbox);
// As git and people name it: "locki/fix+cart/BRANCH".
std::string fetched_short_name(std::string_view sandbox, std::string_view branch);

// Why a branch of that name stays inside, or nullopt. Stricter than why_bad_branch(): ASCII letters, digits and
// - _ . + @ # , = / only, so that no file system, shell or prompt takes the name for another, or for more than a name. The
// text is safe to print.
std::optional<std::string> why_not_fetched(std::string_view branch);

// Which of these names cannot be there beside the others on some host file system: equal but for letter case, or one in
// the place of the other's directory. Name -> the one in its way; those that come first stand.
std::map<std::string, std::string> clashes(const std::vector<std::string>& names);

// kConflict when the repository has a remote called locki: what git fetch --prune would do to these refs, or we to its
// refs, is not ours to repair.
Result<> check_no_such_remote(const Repository& repository);

// Refs beneath a prefix that ends with '/'. kConflict when one of them is symbolic: it would stand for another.
Result<std::map<std::string, ObjectId>> refs_beneath(const Repository& repository, std::string_view prefix);

// "" for `from`: must not exist; "" for `to`: is deleted.
struct RefMove {
  std::string name;  // full
  ObjectId to, from;
};
// All of them or none, if each still has its old value (else kConflict). No hook runs.
Result<> move_refs(const Repository& repository, const std::vector<RefMove>& moves, std::string_view why);

// Deletes a sandbox's fetched branches: those that are named (a name that is not there is passed over), or all. Gives what was
// deleted: branch -> tip. All or none, as move_refs().
Result<std::map<std::string, ObjectId>> delete_fetched(const Repository& repository, std::string_view sandbox, const std::optional<std::set<std::string>>& branches, std::string_view why);

// How many commits, at most `limit`, a tip reaches that nothing will once the refs of these patterns ("refs/x/*") are gone.
Result<std::size_t> commits_lost(const Repository& repository, const ObjectId& tip, const std::vector<std::string>& going, std::size_t limit = 1000);

}  // namespace locki::git
