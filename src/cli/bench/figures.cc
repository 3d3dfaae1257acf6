#include "cli/bench/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "term/table.h"

namespace locki::cli {
namespace {

std::string bytes(double value) { return (value < 0 ? "-" : "") + human_bytes(static_cast<std::uint64_t>(std::fabs(value))); }

const char* word(Unit unit) {
  switch (unit) {
    case Unit::kSeconds: return "s";
    case Unit::kBytes: return "bytes";
    case Unit::kBytesPerSecond: return "bytes/s";
    case Unit::kPerMinute: return "/min";
    case Unit::kRatio: return "ratio";
  }
  return "";
}

std::string seconds(double value) {
  const double size = std::fabs(value);
  if (size < 0.001) return fmt::format("{:.0f} µs", value * 1e6);
  if (size < 0.01) return fmt::format("{:.1f} ms", value * 1000);
  return size < 1 ? fmt::format("{:.0f} ms", value * 1000) : fmt::format("{:.1f} s", value);
}

}  // namespace

Statistics statistics_of(std::vector<double> samples) {
  if (samples.empty()) return {};
  std::sort(samples.begin(), samples.end());
  const auto rank = static_cast<std::size_t>(std::ceil(0.95 * static_cast<double>(samples.size())));
  return {.median = samples[samples.size() / 2], .p95 = samples[rank - 1], .least = samples.front(), .most = samples.back()};
}

std::string shown(double value, Unit unit) {
  switch (unit) {
    case Unit::kSeconds: return seconds(value);
    case Unit::kBytes: return bytes(value);
    case Unit::kBytesPerSecond: return bytes(value) + "/s";
    case Unit::kPerMinute: return fmt::format("{:.0f}/min", value);
    case Unit::kRatio: return fmt::format("{:.0f} %", value * 100);
  }
  return "";
}

json::array figures_json(const std::vector<Figure>& figures) {
  json::array out;
  for (const auto& figure : figures) {
    const auto s = statistics_of(figure.samples);
    json::object o{{"name", figure.name}, {"meaning", figure.meaning}, {"unit", word(figure.unit)}, {"n", figure.samples.size()},
                   {"median", s.median},  {"p95", s.p95},              {"min", s.least},            {"max", s.most}};
    out.push_back(std::move(o));
  }
  return out;
}

std::string figures_table(const std::vector<Figure>& figures, int columns, const term::Style& style) {
  term::Table table({{.title = "FIGURE"}, {.title = "N"}, {.title = "MEDIAN"}, {.title = "P95"}, {.title = "MIN"}, {.title = "MAX"}, {.title = "WHAT", .shrinks = true}});
  for (const auto& figure : figures) {
    const auto s = statistics_of(figure.samples);
    table.add({figure.name, std::to_string(figure.samples.size()), shown(s.median, figure.unit), shown(s.p95, figure.unit), shown(s.least, figure.unit),
               shown(s.most, figure.unit), figure.meaning});
  }
  return table.render(columns, style);
}

}  // namespace locki::cli
