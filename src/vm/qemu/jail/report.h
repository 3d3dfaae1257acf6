// How the jail gives up: one line to the caller, then the end. There is nothing to clean up that the kernel does not.
#pragma once

namespace jail {

// "error ERRNO TEXT" to kReportFd and exit status 1. `text` is a literal of ours or an argument of the caller.
[[noreturn]] void die(int captured_errno, const char* text);
[[noreturn]] void die(int captured_errno, const char* text, const char* object);

}  // namespace jail
