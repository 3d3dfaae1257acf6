// Progress as events that know nothing of bars: use cases report them, the CLI draws them, the daemon forwards them.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace locki {

struct ProgressEvent {
  enum class Kind {
    kBegin,   // a phase starts; `phase` is a stable id ("roots.vm"), `text` what to show ("Building the VM system")
    kUpdate,  // the same phase moved; fraction in 0..1 when known
    kEnd,     // it is done
    kNote,    // something to tell once
    kWarning
  };
  Kind kind = Kind::kNote;
  std::string phase;
  std::string text;
  std::optional<double> fraction;
};

// Called on the thread that does the work; must not block for long. An empty sink is allowed: use report().
using ProgressSink = std::function<void(const ProgressEvent&)>;

inline void report(const ProgressSink& sink, ProgressEvent event) {
  if (sink) sink(event);
}

// Begin and end of a phase as a scope.
class Phase {
 public:
  Phase(const ProgressSink& sink, std::string id, std::string text) : sink_(sink), id_(std::move(id)) {
    report(sink_, {ProgressEvent::Kind::kBegin, id_, std::move(text), std::nullopt});
  }
  ~Phase() { report(sink_, {ProgressEvent::Kind::kEnd, id_, "", std::nullopt}); }
  Phase(const Phase&) = delete;
  Phase& operator=(const Phase&) = delete;
  void update(std::string text, std::optional<double> fraction = std::nullopt) {
    report(sink_, {ProgressEvent::Kind::kUpdate, id_, std::move(text), fraction});
  }

 private:
  ProgressSink sink_;
  std::string id_;
};

}  // namespace locki
