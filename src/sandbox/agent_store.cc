#include "sandbox/agent_store.h"

#include <fmt/format.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/strings.h"
#include "sandbox/provision.h"

namespace locki::sandbox {

namespace {

constexpr std::string_view kBuilder = "locki-builder";
// Our own notes on the volume: user.* keys are free for clients of Incus.
constexpr std::string_view kInstalledKey = "user.locki.agent.";

Result<> drop_builder(incus::Client& client) {
  TRY_ASSIGN(const bool exists, client.instance_exists(kBuilder));
  if (!exists) return {};
  TRY(client.stop(kBuilder, true));
  auto gone = client.delete_instance(kBuilder);
  if (!gone && gone.error().kind() != ErrorKind::kNotFound) return fail(std::move(gone).error());
  return {};
}

Result<std::string> install_in_builder(incus::Client& client, const agents::Agent& agent, const BuilderSetup& setup, Phase& phase) {
  incus::CreateInstance builder;
  builder.name = kBuilder;
  builder.source = incus::FromImage{.fingerprint = "", .alias = setup.image_alias};
  builder.profiles = {std::string(kProfile)};
  builder.config = network_config(std::string(kBuilderAddress));
  builder.devices = {{"agents", agent_store_device(true)}, {"eth0", network_device(std::string(kBuilderAddress))}};
  TRY(client.create_instance(builder));
  TRY(client.start(kBuilder));
  incus::RunOptions unpack;
  unpack.input = setup.archive;
  TRY(client.run_ok(kBuilder, {"/usr/bin/tar", "-x", "-C", "/"}, unpack));
  phase.update(fmt::format("Installing {} from npm", agent.title));
  const auto run = [&](const agents::Command& step) {
    incus::RunOptions options;
    options.environment = setup.environment;
    for (const auto& [key, value] : step.environment) options.environment[key] = value;
    options.cwd = step.directory;
    options.timeout = std::chrono::minutes(30);
    options.input = step.input;
    return client.run_ok(kBuilder, step.argv, options);
  };
  const auto plan = agents::install_plan(agent, random_hex(6));
  for (const auto& step : plan.install) TRY(run(step));
  TRY_ASSIGN(const std::string version, run(plan.version));
  for (const auto& step : plan.activate) TRY(run(step));
  return printable(trim(version), 100);
}

}  // namespace

Result<> ensure_agent_store(incus::Client& client) {
  TRY_ASSIGN(const auto volume, client.volume(kPool, kAgentVolume));
  if (volume) return {};
  // Shifted: every sandbox has its own id range, and all of them read these files as root's.
  return client.create_volume(kPool, {.name = std::string(kAgentVolume), .description = "agents", .config = {{"security.shifted", "true"}}});
}

incus::Config agent_store_device(bool writable) {
  incus::Config device{{"type", "disk"}, {"pool", std::string(kPool)}, {"source", std::string(kAgentVolume)}, {"path", std::string(agents::kStore)}};
  if (!writable) device["readonly"] = "true";
  return device;
}

Result<std::map<std::string, std::string>> installed_agents(incus::Client& client) {
  std::map<std::string, std::string> found;
  TRY_ASSIGN(const auto volume, client.volume(kPool, kAgentVolume));
  if (!volume) return found;
  for (const auto& [key, value] : volume->config) {
    if (key.starts_with(kInstalledKey)) found[key.substr(kInstalledKey.size())] = value;
  }
  return found;
}

Result<> ensure_agent_installed(incus::Client& client, const agents::Agent& agent, const BuilderSetup& setup, bool renew, const ProgressSink& progress) {
  TRY_ASSIGN(const auto installed, installed_agents(client));
  if (!renew && installed.contains(agent.name)) return {};
  Phase phase(progress, "agent." + agent.name, fmt::format("Installing {} (once for all sandboxes)", agent.title));
  TRY(drop_builder(client));
  auto version = install_in_builder(client, agent, setup, phase);
  auto dropped = drop_builder(client);
  if (!dropped) log::warning("the builder container stays behind: {}", dropped.error().describe());
  if (!version) {
    return fail(std::move(version).error().with_context(fmt::format("while installing {}", agent.title)).with_hint("see what was refused: locki net log"));
  }
  return client.patch_volume(kPool, kAgentVolume, {{std::string(kInstalledKey) + agent.name, version->empty() ? "unknown" : *version}});
}

}  // namespace locki::sandbox
