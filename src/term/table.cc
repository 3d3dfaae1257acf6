#include "term/table.h"

#include <algorithm>

#include "base/strings.h"
#include "term/width.h"

namespace locki::term {
namespace {

std::string tinted(const Style& style, Tint tint, std::string_view text) {
  switch (tint) {
    case Tint::kDim: return style.dim(text);
    case Tint::kRed: return style.red(text);
    case Tint::kGreen: return style.green(text);
    case Tint::kYellow: return style.yellow(text);
    case Tint::kCyan: return style.cyan(text);
    case Tint::kBold: return style.bold(text);
    case Tint::kNone: break;
  }
  return std::string(text);
}

// Takes columns away from the widest one that may shrink, until all fit or nothing can give way.
void shrink(const std::vector<Column>& columns, std::vector<std::size_t>& widths, std::size_t available) {
  const auto total = [&] {
    std::size_t sum = 0;
    for (const auto width : widths) sum += width;
    return sum + 2 * (widths.size() - 1);
  };
  for (auto sum = total(); sum > available; --sum) {
    std::size_t widest = columns.size();
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (columns[i].shrinks && widths[i] > columns[i].least && (widest == columns.size() || widths[i] > widths[widest])) {
        widest = i;
      }
    }
    if (widest == columns.size()) return;
    --widths[widest];
  }
}

}  // namespace

void Table::add(std::vector<Cell> row) {
  for (auto& cell : row) cell.text = printable(cell.text);
  row.resize(columns_.size(), Cell(""));
  rows_.push_back(std::move(row));
}

std::string Table::render(std::size_t width, const Style& style) const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    widths.push_back(display_width(columns_[i].title));
    for (const auto& row : rows_) widths[i] = std::max(widths[i], display_width(row[i].text));
  }
  if (width > 0) shrink(columns_, widths, width);

  std::string out;
  const auto line = [&](const auto& text_of, const auto& tint_of) {
    std::string built;
    std::size_t owed = 0;  // blanks are written only when something follows: no trailing ones
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (i > 0) owed += 2;
      const auto text = fit(text_of(i), widths[i]);
      const auto blanks = widths[i] - std::min(widths[i], display_width(text));
      if (columns_[i].right) owed += blanks;
      if (!text.empty()) {
        built.append(owed, ' ');
        owed = 0;
        built += tinted(style, tint_of(i), text);
      }
      if (!columns_[i].right) owed += blanks;
    }
    out += built + "\n";
  };
  line([&](std::size_t i) { return columns_[i].title; }, [](std::size_t) { return Tint::kDim; });
  for (const auto& row : rows_) {
    line([&](std::size_t i) { return row[i].text; }, [&](std::size_t i) { return row[i].tint; });
  }
  return out;
}

}  // namespace locki::term
