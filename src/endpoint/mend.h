// After the kernel was started anew: what the crash left of the repository. Files that were not written down are empty or
// missing, and git then refuses the index, the branch, or everything. What cannot be read is put aside, not thrown away,
// and what is left goes on from the last tip that was whole on disk; the host brings the rest. One thread.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "endpoint/repository.h"

namespace locki::endpoint {

class Mend {
 public:
  // `aside`: a directory for what is put aside; made when needed.
  Mend(const Repository& repository, std::string root, std::string branch, std::filesystem::path aside);

  // `good`: a commit that the disk has with all it reaches; "" when none is known. Gives what was done, a line each, for
  // people. An error: it could not be mended, and nothing more was touched.
  Result<std::vector<std::string>> run(const std::string& good);

 private:
  Result<> mend_head();
  Result<> drop_empty_objects();
  Result<> drop_empty_refs();
  Result<> mend_branch(const std::string& good);
  Result<> mend_index();
  bool opens() const;
  bool whole(const std::string& tip, const std::string& good) const;
  Result<> put_aside(const std::filesystem::path& what, std::string_view name);

  const Repository& repository_;
  std::filesystem::path git_;
  std::string ref_;
  std::filesystem::path aside_;
  std::vector<std::string> done_;
};

}  // namespace locki::endpoint
