// What streams from the host: files to put and packs to take in. Each ends with exactly one Done. One thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>

#include "endpoint/repository.h"
#include "mirror/tree.h"
#include "mirror/wire.h"

namespace locki::endpoint {

namespace wire = mirror::wire;

wire::Done to_done(wire::Id id, mirror::Tree& tree, std::string_view path, const mirror::Outcome& outcome);
wire::Done failed_done(wire::Id id, const Error& error);

class Incoming {
 public:
  // Put: a directory or symlink is done at once; a file when its last Data came.
  std::optional<wire::Done> begin(mirror::Tree& tree, const wire::Put& put);
  // False when it is refused already; its Done follows the last Data all the same.
  bool begin(const Repository& repository, const wire::GitPack& pack);
  // nullopt: more is to come, or nobody knows the id. `pack_ended`: the branch may have moved.
  std::optional<wire::Done> take(mirror::Tree& tree, Repository& repository, const wire::Data& data, bool& pack_ended);
  // Something for people that came up on the way; empty once taken.
  std::string take_problem() { return std::exchange(problem_, std::string()); }

 private:
  struct File {
    std::string path;
    mirror::FilePut put;
  };
  struct Pack {
    wire::GitPack request;
    PackProcess process;
    bool empty = true;  // no byte came: the commit must be here already
  };
  // After an error the rest of the data is swallowed, and the error is the answer.
  using Transfer = std::variant<File, Pack, Error>;

  // These give how many commits were put on top.
  Result<std::uint32_t> finish_pack(mirror::Tree& tree, Repository& repository, Pack& pack);
  Result<std::uint32_t> replace(mirror::Tree& tree, Repository& repository, const wire::GitPack& request);
  Result<std::uint32_t> put_beneath(Repository& repository, const wire::GitPack& request);

  std::map<wire::Id, Transfer> transfers_;
  std::string problem_;
};

}  // namespace locki::endpoint
