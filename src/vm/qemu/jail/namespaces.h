// The namespaces, in the order in which an ordinary user may make them. Each call ends the process with a report when it fails.
#pragma once

namespace jail {

// user_namespaces(7): our uid and gid mapped to themselves, every other id to nobody, setgroups(2) denied for ever. From here on the
// process has all capabilities, but only over what belongs to the new namespace.
void enter_user_namespace();

// Mounts, network (only `lo`, brought up here), IPC and host name. The process namespace is made by the caller, before its fork.
void enter_other_namespaces();

}  // namespace jail
