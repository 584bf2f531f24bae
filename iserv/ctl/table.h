// Text in columns, for a terminal.
#pragma once

#include <string>
#include <vector>

namespace splicehost::ctl {

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // Adds a line of as many cells as there are columns.
  void add(std::vector<std::string> cells) { lines_.push_back(std::move(cells)); }

  // The titles and the lines, each column as wide as it must be, indented by two spaces.
  std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> lines_;
};

}  // namespace splicehost::ctl
