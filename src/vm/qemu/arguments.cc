#include "vm/qemu/arguments.h"

#include <fmt/format.h>

namespace locki::vm {

namespace {

using Words = std::vector<std::string>;

void add(Words& words, const Words& more) { words.insert(words.end(), more.begin(), more.end()); }

// What QEMU would add by itself stays away, and so does what only a desktop machine has.
const Words kBare = {"-no-user-config", "-nodefaults", "-display", "none", "-vga", "none", "-name", "locki", "-no-reboot",
                     "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"};
constexpr const char* kMachine = "q35,hpet=off,vmport=off,smm=off,usb=off,sata=off,graphics=off,dump-guest-core=off";

// What the guest writes to its first serial port leaves through stdout, where process 1 of the jail keeps its end.
const Words kConsole = {"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"};

Words read_only_disk(std::string_view name) {
  // Nothing is ever written to it, so nothing needs to be flushed.
  return {"-blockdev", fmt::format("driver=raw,node-name={0},read-only=on,cache.no-flush=on,file.driver=file,file.filename=/disks/{0},"
                                   "file.read-only=on", name),
          "-device", fmt::format("virtio-blk-pci,drive={0},serial=locki-{0}", name)};
}

const Words kDataDisk = {
    // What the guest discards goes back to the host's file system.
    "-blockdev", "driver=raw,node-name=data,discard=unmap,detect-zeroes=unmap,file.driver=file,file.filename=/disks/data,file.discard=unmap",
    "-device", "virtio-blk-pci,drive=data,serial=locki-data"};

Words network(const std::vector<std::uint16_t>& guest_ports) {
  std::string user = "user,id=net,ipv6=off";
  for (const auto port : guest_ports) user += fmt::format(",hostfwd=tcp:127.0.0.1:{}-10.0.2.15:{}", forward_port(port), port);
  return {"-netdev", user, "-device", "virtio-net-pci,netdev=net,romfile="};
}

}  // namespace

std::vector<std::string> qemu_arguments(const QemuConfig& config) {
  Words words = kBare;
  add(words, {"-machine", kMachine});
  if (config.accelerator == Accelerator::kKvm) {
    add(words, {"-accel", "kvm", "-cpu", "host"});
  } else {
    // Five-level page tables cost time in software and bring nothing.
    add(words, {"-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,la57=off"});
  }
  add(words, {"-smp", fmt::to_string(config.cpus), "-m", fmt::format("{}M", config.memory_mib)});
  add(words, {"-kernel", "/disks/kernel", "-initrd", "/disks/initrd", "-append",
              // Free memory is reported to the balloon from 64 KiB on (docs/decisions.md): in a machine that has worked, larger pieces are few.
              "net.ifnames=0 console=ttyS0 loglevel=4 audit=0 edd=off tsc=reliable lsm=landlock,yama systemd.show_status=0 panic=1 "
              "page_reporting.page_reporting_order=4"});
  add(words, kConsole);
  add(words, read_only_disk("system"));
  add(words, kDataDisk);
  for (const auto& name : config.read_only_disks) add(words, read_only_disk(name));
  add(words, network(config.guest_ports));
  // Memory that the guest frees goes back to the host.
  add(words, {"-device", "virtio-balloon-pci,free-page-reporting=on,deflate-on-oom=on", "-device", "virtio-rng-pci"});
  // A resumed machine sees another id than before, and draws new randomness.
  add(words, {"-device", "vmgenid,guid=auto"});
  add(words, {"-device", "virtio-serial-pci", "-chardev", fmt::format("socket,id=agent,fd={},server=on,wait=off", config.agent_fd),
              "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"});
  add(words, {"-chardev", fmt::format("socket,id=qmp,fd={},server=on,wait=off", config.qmp_fd), "-mon", "chardev=qmp,mode=control"});
  for (const auto& name : config.secrets) add(words, {"-smbios", "type=11,path=/run/" + name});
  return words;
}

std::vector<std::string> probe_arguments() {
  Words words = kBare;
  add(words, {"-machine", kMachine, "-accel", "kvm", "-cpu", "host", "-smp", "1", "-m", "256M", "-kernel", "/disks/kernel", "-append",
              "console=ttyS0 earlyprintk=serial,ttyS0 panic=-1"});
  add(words, kConsole);
  return words;
}

}  // namespace locki::vm
