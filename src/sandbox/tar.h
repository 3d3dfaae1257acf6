// A tar archive (POSIX ustar with GNU long names) in memory: many small files go into a container with one command instead of one
// request each. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace locki::sandbox {

class TarWriter {
 public:
  // Paths are absolute in the container; the archive holds them relative, to be unpacked in /. Owner is root.
  void directory(std::string_view path, unsigned mode = 0755);
  void file(std::string_view path, std::string_view content, unsigned mode = 0644);
  void symlink(std::string_view path, std::string_view target);
  // The whole archive with its end blocks. Once.
  std::string finish();

 private:
  void entry(std::string_view path, char type, unsigned mode, std::string_view target, std::string_view content);
  void header(std::string_view name, char type, unsigned mode, std::string_view target, std::size_t size);
  std::string out_;
};

}  // namespace locki::sandbox
