#include "vm/qemu/jail/options.h"

#include <unistd.h>

#include <charconv>
#include <cstring>
#include <string_view>

#include "vm/qemu/jail/report.h"

namespace jail {

namespace {

int number(std::string_view text, int least, int most) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most) {
    die(0, "bad number: ", std::string(text).c_str());
  }
  return value;
}

// FIRST-LAST
std::pair<std::uint16_t, std::uint16_t> range(std::string_view text) {
  const auto dash = text.find('-');
  if (dash == text.npos) die(0, "not a range of ports: ", std::string(text).c_str());
  const int first = number(text.substr(0, dash), 1, 65535);
  return {static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(number(text.substr(dash + 1), first, 65535))};
}

// NAME=REST, where NAME becomes the name of a file.
std::pair<std::string, std::string> assignment(std::string_view text) {
  const auto equals = text.find('=');
  const std::string_view name = text.substr(0, equals);
  constexpr const char* kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
  const bool good = equals != text.npos && !name.empty() && name.size() <= 64 && name[0] != '.' &&
                    name.find_first_not_of(kAllowed) == name.npos;
  if (!good) die(0, "bad NAME=VALUE: ", std::string(text).c_str());
  return {std::string(name), std::string(text.substr(equals + 1))};
}

File file(std::string_view text, bool writable) {
  auto [name, path] = assignment(text);
  if (path.empty() || path[0] != '/') die(0, "not an absolute path: ", path.c_str());
  return {std::move(name), std::move(path), writable};
}

}  // namespace

Options parse(int argc, char** argv) {
  Options options;
  options.uid = ::geteuid();
  int i = 1;
  for (; i < argc && std::strcmp(argv[i], "--") != 0; ++i) {
    const std::string_view option = argv[i];
    if (option == "--kvm") {
      options.kvm = true;
      continue;
    }
    if (++i == argc) die(0, "no value for ", argv[i - 1]);
    const std::string_view value = argv[i];
    if (option == "--root") {
      options.root = value;
    } else if (option == "--read-only" || option == "--read-write") {
      options.files.push_back(file(value, option == "--read-write"));
    } else if (option == "--secret") {
      auto [name, fd] = assignment(value);
      options.secrets.push_back({std::move(name), number(fd, kFirstFreeFd, 1023)});
    } else if (option == "--connect") {
      options.connect_ports.push_back(static_cast<std::uint16_t>(number(value, 1024, 65535)));
    } else if (option == "--listen") {
      options.listen_ports.push_back(range(value));
    } else if (option == "--keep") {
      options.keep.push_back(number(value, kFirstFreeFd, 1023));
    } else {
      die(0, "unknown option: ", argv[i - 1]);
    }
  }
  if (options.root.empty() || options.root[0] != '/') die(0, "--root must be an absolute path");
  if (i + 1 >= argc || argv[i + 1][0] != '/') die(0, "no absolute program after --");
  options.program.assign(argv + i + 1, argv + argc);
  options.program.push_back(nullptr);
  return options;
}

}  // namespace jail
