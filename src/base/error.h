// An error that gathers context on its way up and is rendered in one place (cli/main.cc). A value; no thread rules.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace locki {

enum class ErrorKind {
  kFailed,       // something outside did not work; the message says what
  kUsage,        // the user's words are wrong: exit status 2
  kNotFound,     // the named thing does not exist
  kExists,       // it exists already, or somebody else holds it
  kConflict,     // a precondition no longer holds; nothing was changed
  kTimeout,      // a deadline passed
  kPermission,   // the system or a policy said no
  kUnavailable,  // the other side is not there (yet)
  kCorrupt,      // stored data cannot be what we wrote
  kProtocol,     // a peer broke the agreed form: it is hostile or broken
  kNoSpace,      // a disk or a limit is full
  kCancelled,    // the user or a shutdown stopped it
};

std::string_view to_string(ErrorKind kind);

class Error {
 public:
  Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}

  ErrorKind kind() const { return kind_; }
  const std::string& message() const { return message_; }
  const std::string& hint() const { return hint_; }
  // Innermost first: "while reading the config", "while starting the VM".
  const std::vector<std::string>& contexts() const { return contexts_; }

  Error& add_context(std::string text) & {
    contexts_.push_back(std::move(text));
    return *this;
  }
  // What the user can try. The innermost hint stays: it knows most.
  Error& set_hint(std::string text) & {
    if (hint_.empty()) hint_ = std::move(text);
    return *this;
  }
  Error&& with_context(std::string text) && { return std::move(add_context(std::move(text))); }
  Error&& with_hint(std::string text) && { return std::move(set_hint(std::move(text))); }

  // "while starting the VM: while reading the config: no such file". One line unless the message has several.
  std::string describe() const;

 private:
  ErrorKind kind_;
  std::string message_;
  std::string hint_;
  std::vector<std::string> contexts_;
};

// Error from an errno value captured at the call. `what` reads as "cannot open /x". The kind follows errno.
Error errno_error(int captured_errno, std::string_view what);

}  // namespace locki
