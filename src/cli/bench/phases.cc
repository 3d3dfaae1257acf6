// What the daemon noted when it happened: the phases of earlier starts.
#include <map>

#include "base/strings.h"
#include "cli/bench/bench.h"
#include "sys/file.h"

namespace locki::cli {

void add_phases(Bench& bench) {
  auto text = sys::read_file(bench.context().paths.state / "phases.jsonl", 16 << 20);
  if (!text) return;
  std::map<std::string, Figure> phases;
  for (const auto& line : split_lines(*text)) {
    auto entry = json::parse_object(line);
    if (!entry) continue;
    const std::string id = printable(json::string_or(*entry, "phase"), 60);
    const auto* seconds = entry->if_contains("seconds");
    if (seconds == nullptr || !seconds->is_number()) continue;
    Figure& figure = phases["phase:" + id];
    figure.name = "phase:" + id;
    figure.meaning = printable(json::string_or(*entry, "text"), 80);
    figure.samples.push_back(seconds->to_number<double>());
  }
  for (auto& [id, figure] : phases) bench.add(std::move(figure));
}

}  // namespace locki::cli
