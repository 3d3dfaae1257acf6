// The real parts behind Services: the daemon's client, the terminal's picker and, in libexec/locki/locki, incusd spoken to directly.
#pragma once

#include "cli/context.h"

namespace locki::cli {

// What both programs have.
class CommonServices : public Services {
 public:
  CommonServices(const sys::Paths& paths, const sys::Installation& installation) : paths_(paths), installation_(installation) {}
  Result<std::unique_ptr<Caller>> connect() override;
  Result<std::unique_ptr<Caller>> connect_existing() override;
  Result<std::optional<std::size_t>> pick(const std::string& prompt, const std::vector<term::PickerItem>& items) override;

 protected:
  const sys::Paths& paths_;
  const sys::Installation& installation_;
};

// One for each program: main_front.cc, main_core.cc. All must outlive what is returned; `argv` is main's.
std::unique_ptr<Services> real_services(const sys::Paths& paths, const sys::Installation& installation, char** argv);

}  // namespace locki::cli
