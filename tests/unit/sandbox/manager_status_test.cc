// What `vm status` says without a machine.
#include <gtest/gtest.h>

#include <filesystem>

#include "sandbox/manager.h"
#include "sys/file.h"

namespace locki::sandbox {
namespace {

namespace fs = std::filesystem;

TEST(ManagerStatus, TellsTheSparesThatAreReadyAndHowManyAreWanted) {
  const auto directory = *sys::TemporaryDirectory::make("/tmp", "locki-test");
  const auto at = [&](const char* name) { return directory.path() / name; };
  const sys::Paths paths{.home = directory.path(), .config = at("config"), .data = at("data"), .state = at("state"), .cache = at("cache"), .runtime = at("run")};
  for (const fs::path& path : {paths.config, paths.data, paths.state, paths.cache, paths.runtime}) fs::create_directories(path);
  sys::Installation installation;
  installation.libexec = fs::path(LOCKI_BINARY_DIR) / "libexec/locki";
  installation.share = fs::path(LOCKI_BINARY_DIR) / "share/locki";  // with the recipes
  ASSERT_TRUE(sys::write_file(paths.state / "spares.json", R"({"version":1,"spares":[{"instance":"lk-spare-1","address":"10.77.1.1","fits":"x","ready":true}]})"));
  ASSERT_TRUE(sys::write_file(paths.config / "config.toml", "[sandbox]\npool = 3\n"));
  const auto manager = Manager::open(paths, installation);
  ASSERT_TRUE(manager) << manager.error().describe();
  const auto status = (*manager)->machine_status();
  ASSERT_TRUE(status) << status.error().describe();
  EXPECT_EQ(status->at("spares").to_number<int>(), 1);
  EXPECT_EQ(status->at("spares_wanted").to_number<int>(), 3);
}

}  // namespace
}  // namespace locki::sandbox
