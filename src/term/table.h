// Plain aligned columns for lists on stdout. Cells are untrusted: each passes printable() here. A value; no thread rules.
#pragma once

#include <string>
#include <vector>

#include "term/style.h"

namespace locki::term {

enum class Tint { kNone, kDim, kRed, kGreen, kYellow, kCyan, kBold };

struct Cell {
  Cell(std::string t, Tint c = Tint::kNone) : text(std::move(t)), tint(c) {}  // NOLINT(google-explicit-constructor): rows read as lists
  Cell(const char* t) : text(t) {}                                            // NOLINT(google-explicit-constructor)
  std::string text;
  Tint tint;
};

struct Column {
  std::string title;
  bool right = false;       // numbers
  bool shrinks = false;     // gives way first when the terminal is narrow
  std::size_t least = 6;    // but not below this many columns
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // A row with fewer cells than columns is filled with empty ones; further cells are a defect of the caller and dropped.
  void add(std::vector<Cell> row);
  bool empty() const { return rows_.empty(); }
  // Lines ending in \n, a title line first. `width` 0: as wide as it needs (for pipes). No trailing blanks.
  std::string render(std::size_t width, const Style& style) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace locki::term
