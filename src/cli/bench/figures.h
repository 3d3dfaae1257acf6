// Figures of `locki bench`: samples with a unit, their statistics, as a table and as JSON. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "term/style.h"

namespace locki::cli {

enum class Unit { kSeconds, kBytes, kBytesPerSecond, kPerMinute, kRatio };

struct Figure {
  std::string name, meaning;
  std::vector<double> samples;  // at least one
  Unit unit = Unit::kSeconds;
};

struct Statistics {
  double median = 0, p95 = 0, least = 0, most = 0;
};
// p95: the smallest sample that 95 of 100 do not exceed (nearest rank).
Statistics statistics_of(std::vector<double> samples);

std::string shown(double value, Unit unit);  // "12 ms", "85 µs", "3.4 MiB", "8.0 MiB/s", "6/min", "47 %"
json::array figures_json(const std::vector<Figure>& figures);
std::string figures_table(const std::vector<Figure>& figures, int columns, const term::Style& style);

}  // namespace locki::cli
