#include "sandbox/container.h"

#include <fmt/format.h>

#include "sandbox/agent_store.h"
#include "sandbox/provision.h"
#include "sandbox/tar.h"
#include "sys/file.h"

namespace locki::sandbox {

incus::CreateInstance container_definition(const Record& record, const Limits& limits, const std::string& image_alias) {
  incus::CreateInstance wanted;
  wanted.name = record.instance;
  wanted.source = incus::FromImage{.fingerprint = "", .alias = image_alias};
  wanted.description = fmt::format("{} of {}", record.name, record.repo);
  wanted.profiles = {std::string(kProfile)};
  wanted.config = {{"limits.cpu", std::to_string(limits.cpus)},
                   {"limits.memory", fmt::format("{}B", limits.memory_bytes)},
                   {"limits.processes", std::to_string(limits.processes)},
                   {"user.locki.id", record.id}};
  incus::Config root{{"type", "disk"}, {"path", "/"}, {"pool", std::string(kPool)}, {"size", fmt::format("{}B", limits.disk_bytes)}};
  wanted.devices = {{"root", std::move(root)}, {"agents", agent_store_device(false)}};
  return wanted;
}

namespace {

Result<> prepare(incus::Client& client, const Record& record, const ContainerSetup& setup) {
  TRY_ASSIGN(const std::string endpoint, sys::read_file(setup.endpoint_program));
  TarWriter tar;
  tar.file(kEndpoint, endpoint, 0755);
  incus::RunOptions options;
  options.input = tar.finish();
  // Two archives after one another are one with --ignore-zeros: one command, one round trip.
  options.input += setup.trust_archive;
  return context(client.run_ok(record.instance, {"/usr/bin/tar", "-x", "--ignore-zeros", "--no-same-owner", "-C", "/"}, options),
                 "while preparing the container")
      .map([](const std::string&) {});
}

}  // namespace

Result<> ensure_container(incus::Client& client, const Record& record, const ContainerSetup& setup, const ProgressSink& progress) {
  TRY_ASSIGN(const bool exists, client.instance_exists(record.instance));
  if (!exists) {
    Phase phase(progress, "container", "Creating the container");
    TRY(context(client.create_instance(container_definition(record, setup.limits, setup.image_alias)), "while creating the container"));
  }
  TRY_ASSIGN(const auto instance, client.instance(record.instance));
  if (instance.running()) return {};
  Phase phase(progress, "container.start", "Starting the container");
  TRY(context(client.start(record.instance), "while starting the container"));
  return prepare(client, record, setup);
}

Result<> remove_container(incus::Client& client, const std::string& instance) {
  TRY_ASSIGN(const bool exists, client.instance_exists(instance));
  if (!exists) return {};
  TRY(client.stop(instance, true));
  auto gone = client.delete_instance(instance);
  if (!gone && gone.error().kind() != ErrorKind::kNotFound) return fail(std::move(gone).error());
  return {};
}

}  // namespace locki::sandbox
